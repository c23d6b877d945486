package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/rendezvous"
	"github.com/secgear/secgear/sdk/internal/ring"
	"github.com/secgear/secgear/sdk/tee"
)

// about is what the owner tells those that attach, beside numbers.
type about struct {
	TEE         string           `json:"tee"`
	Manifest    image.Manifest   `json:"manifest"`
	Contracts   []string         `json:"contracts,omitempty"`
	Protections []tee.Protection `json:"protections,omitempty"`
}

// mayAttach tells whether list, a manifest's Attach, names the process. owner is
// the user whose process loaded the enclave.
func mayAttach(list []string, owner uint32, p rendezvous.Peer) bool {
	for _, s := range list {
		kind, number, _ := strings.Cut(s, ":")
		n, err := strconv.ParseUint(number, 10, 32)
		switch {
		case kind == "owner" && number == "":
			if p.UID == owner {
				return true
			}
		case err != nil:
		case kind == "uid" && p.UID == uint32(n), kind == "gid" && p.In(uint32(n)):
			return true
		}
	}
	return false
}

// others tells whether list names anybody but the owner.
func others(list []string) bool {
	for _, s := range list {
		if s != "owner" {
			return true
		}
	}
	return false
}

// admit serves one request to attach, and follows the process that made it until
// it has done with its lane.
func (e *Enclave) admit(r *rendezvous.Request) {
	ended, err := e.attachTo(r)
	if err != nil {
		code, text := refusal(err)
		e.log.Warn("attaching refused", "enclave", e.id.Manifest.Name, "peer", r.Peer, "reason", err)
		_ = r.Refuse(code, "%s", text) // whoever does not listen does without
		return
	}
	e.log.Info("process attached", "enclave", e.id.Manifest.Name, "peer", r.Peer)
	ended()
	e.log.Info("process detached", "enclave", e.id.Manifest.Name, "peer", r.Peer)
}

// refusal is what a process that was refused is told.
func refusal(err error) (code uint32, text string) {
	var refused *rendezvous.Refused
	if errors.As(err, &refused) {
		return refused.Code, refused.Text
	}
	return rendezvous.CodeFailed, "opening a lane failed (the owner's log says how)"
}

// attachTo hands r's process a lane. ended waits until that has done with it.
func (e *Enclave) attachTo(r *rendezvous.Request) (ended func(), err error) {
	m := e.id.Manifest
	if !mayAttach(m.Attach, uint32(os.Geteuid()), r.Peer) {
		return nil, &rendezvous.Refused{Code: rendezvous.CodeDenied, Text: fmt.Sprintf(`user %d is not in the manifest's "attach"`, r.Peer.UID)}
	}
	ask, err := rendezvous.ParseAttachRequest(r.Payload)
	if err != nil {
		return nil, &rendezvous.Refused{Code: rendezvous.CodeBad, Text: err.Error()}
	}
	size, err := e.laneSize(ask.Memory)
	if err != nil {
		return nil, err
	}
	files, ok := e.inst.(tee.LaneFiles)
	if !ok {
		return nil, &rendezvous.Refused{Code: rendezvous.CodeUnsupported, Text: "TEE " + e.tee + " has lanes for its owner only"}
	}
	most := m.Lanes - 1 // one is the owner's
	if !e.guests.enter(r.Peer.UID, most, shared(m.Attach)) {
		return nil, &rendezvous.Refused{Code: rendezvous.CodeFull, Text: fmt.Sprintf(
			"the manifest allows %d lanes beside the owner's, of which no user gets more than are left for others", most)}
	}
	end, err := e.hand(r, files, size)
	if err != nil {
		e.guests.leave(r.Peer.UID)
		return nil, err
	}
	return func() {
		defer e.guests.leave(r.Peer.UID)
		_, _ = io.CopyN(io.Discard, r.Conn, 1) // nothing comes until the end
		end()
	}, nil
}

// laneSize is the size of a lane for which somebody asked for n bytes.
func (e *Enclave) laneSize(n uint64) (int, error) {
	most := e.id.Manifest.LaneMemory
	if n == 0 {
		n = min(uint64(e.opt.LaneMemory), most)
	}
	if n < ring.MinSize || n > most {
		return 0, &rendezvous.Refused{Code: rendezvous.CodeBad, Text: fmt.Sprintf("a lane of %d bytes: the manifest allows %d to %d", n, ring.MinSize, most)}
	}
	return min(int(n+pageSize-1)&^(pageSize-1), int(most)), nil
}

// hand opens a lane and gives its descriptors away. end ends the lane, whoever
// has it by then: it must not outlast what counts it.
func (e *Enclave) hand(r *rendezvous.Request, files tee.LaneFiles, size int) (end func(), err error) {
	ctx, cancel := context.WithTimeout(context.Background(), rendezvous.Patience)
	defer cancel()
	text, err := json.Marshal(about{e.tee, e.id.Manifest, e.Contracts(), e.Protections()})
	if err != nil {
		return nil, fmt.Errorf("describing the enclave: %w", err)
	}
	mem, bell, err := files.OpenLaneFiles(ctx, size)
	if err != nil {
		return nil, err
	}
	defer mem.Close()
	end = func() {
		if err := rendezvous.EndLane(bell); err != nil {
			e.log.Warn("ending the lane of a process that left", "enclave", e.id.Manifest.Name, "peer", r.Peer, "err", err)
		}
	}
	err = r.AnswerAttached(rendezvous.Attached{
		Workers: uint32(e.opt.Workers), Memory: uint64(size), Digest: e.id.Digest, Signer: e.id.Signer, About: text,
	}, mem, bell)
	if err == nil {
		err = r.Settle()
	}
	if err != nil {
		end()
		return nil, fmt.Errorf("handing over a lane: %w", err)
	}
	return end, nil
}
