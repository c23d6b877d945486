package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/secgear/secgear/sdk/internal/control"
	"github.com/secgear/secgear/sdk/internal/interior"
	"github.com/secgear/secgear/sdk/internal/rendezvous"
	"github.com/secgear/secgear/sdk/shm"
)

// Inside is what an enclave says of itself: calls on all its lanes together,
// handlers' times, workers, memory. It is a hint, and no more: an enclave that
// was taken over says what it likes.
type Inside = interior.Numbers

var (
	// ErrNotDebug: profiles are taken of images for debugging only.
	ErrNotDebug = interior.ErrNotDebug
	// ErrNoProfiler: the enclave does not import sdk/enclave/pprof.
	ErrNoProfiler = interior.ErrNoProfiler
)

// Inside asks the enclave for its own numbers, bounded by ctx: an enclave whose
// workers are all busy answers late. Only the process that loaded it gets an
// answer.
func (e *Enclave) Inside(ctx context.Context) (Inside, error) {
	doc, err := interior.NewInsideClient(e).Numbers(ctx)
	if err != nil {
		return Inside{}, fmt.Errorf("asking the enclave for its numbers: %w", err)
	}
	n, err := interior.Parse(doc)
	if err != nil {
		return Inside{}, err
	}
	printNames(n.Made)
	printNames(n.Served)
	return n, nil
}

// printNames makes names that another process told fit for a terminal.
func printNames(list []shm.MethodStats) {
	for i := range list {
		list[i].Contract, list[i].Method = control.Printable(list[i].Contract), control.Printable(list[i].Method)
	}
}

// Profile takes a profile of the enclave, in pprof's format: "cpu", over a time
// in whole seconds (zero: 10), "heap", "allocs", "goroutine" or "threadcreate".
// The error matches [ErrNotDebug] if the image is not one for debugging, and
// [ErrNoProfiler] if its program does not import sdk/enclave/pprof. What comes
// back is the enclave's word.
func (e *Enclave) Profile(ctx context.Context, kind string, over time.Duration) ([]byte, error) {
	if over < 0 || over > interior.MaxProfile {
		return nil, fmt.Errorf("taking a profile: over %v, where at most %v is possible", over, interior.MaxProfile)
	}
	b, err := interior.NewInsideClient(e).Profile(ctx, kind, uint32((over+time.Second-1)/time.Second))
	if err != nil {
		return nil, fmt.Errorf("taking a profile: %w", err)
	}
	return b, nil
}

// profileRequest is the payload of a rendezvous.KindProfile frame, as JSON.
type profileRequest struct {
	Kind    string `json:"kind"`
	Seconds uint32 `json:"seconds"`
}

// ProfileRunning takes a profile of an enclave that another process of this user
// has loaded; name is as for [Attach]. See [Enclave.Profile].
func ProfileRunning(ctx context.Context, name, kind string, over time.Duration) ([]byte, error) {
	path, err := rendezvous.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	ask, err := json.Marshal(profileRequest{kind, uint32((over + time.Second - 1) / time.Second)})
	if err != nil {
		return nil, err
	}
	return rendezvous.AskFor(ctx, path, rendezvous.KindProfile, ask, interior.MaxProfile)
}

// profile serves a request for a profile.
func (e *Enclave) profile(r *rendezvous.Request) {
	b, err := e.profileFor(r)
	var refused *rendezvous.Refused
	switch {
	case errors.As(err, &refused):
		err = r.Refuse(refused.Code, "%s", refused.Text)
	case err != nil:
		err = r.Refuse(rendezvous.CodeFailed, "%v", err)
	default:
		err = r.Answer(b)
	}
	if err != nil {
		e.log.Debug("answering a request for a profile", "enclave", e.id.Manifest.Name, "peer", r.Peer, "err", err)
	}
}

func (e *Enclave) profileFor(r *rendezvous.Request) ([]byte, error) {
	if !r.FromOwner() {
		return nil, &rendezvous.Refused{Code: rendezvous.CodeDenied, Text: "profiles are for the enclave's owner's user and root"}
	}
	var ask profileRequest
	if err := json.Unmarshal(r.Payload, &ask); err != nil || ask.Seconds > uint32(interior.MaxProfile/time.Second) {
		return nil, &rendezvous.Refused{Code: rendezvous.CodeBad, Text: "no sensible request for a profile"}
	}
	over := time.Duration(ask.Seconds) * time.Second
	if err := r.Conn.SetDeadline(time.Now().Add(2*rendezvous.Patience + max(over, profileTime))); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), rendezvous.Patience+max(over, profileTime))
	defer cancel()
	e.log.Info("taking a profile", "enclave", e.id.Manifest.Name, "kind", control.Printable(ask.Kind), "peer", r.Peer)
	b, err := e.Profile(ctx, ask.Kind, over)
	if len(b) > rendezvous.MaxResult {
		err = fmt.Errorf("the profile is %d bytes long, at most %d are told", len(b), rendezvous.MaxResult)
	}
	return b, err
}

// profileTime is how long a profile takes unless told.
const profileTime = 10 * time.Second
