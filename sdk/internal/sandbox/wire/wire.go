// Package wire is what the two halves of a sandbox say to each other over the
// platform socket, a SOCK_SEQPACKET whose packets are one message each.
//
// The host speaks first: Hello, with what was launched. The enclave answers
// Ready. From then on the host sends lanes (with two descriptors), which the
// enclave answers with a LaneReply, and the enclave sends requests, one at a
// time, which the host answers with a Reply, in order. Whatever arrives may be
// anything: a message that breaks a rule ends the connection.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

// How a program finds out that it was launched into a sandbox (the environment
// variable's value is the name of the TEE), and where its sockets are.
const (
	Env        = "SECGEAR_SANDBOX"
	PlatformFD = 3
	ControlFD  = 4
)

// MaxMessage is the size of a message at most, in bytes.
const MaxMessage = 96 << 10

// Kind is the first byte of a message.
type Kind byte

// The messages.
const (
	KindHello     Kind = 1 // host → enclave
	KindReady     Kind = 2
	KindLane      Kind = 3 // host → enclave
	KindLaneReply Kind = 4
	KindRequest   Kind = 5
	KindReply     Kind = 6 // host → enclave
)

// ErrFormat is matched by errors about messages that break the rules.
var ErrFormat = errors.New("malformed message")

// LaneFiles is how many descriptors come with a lane: its memory and its bell.
const LaneFiles = 2

// Hello tells the enclave what was launched:
//
//	digest (32), signer (32), manifest (JSON)
func Hello(id tee.Identity) ([]byte, error) {
	m, err := json.Marshal(id.Manifest)
	if err != nil {
		return nil, fmt.Errorf("encoding the manifest: %w", err)
	}
	b := append([]byte{byte(KindHello)}, id.Digest[:]...)
	b = append(b, id.Signer[:]...)
	return append(b, m...), nil
}

// ParseHello reads a Hello after its kind.
func ParseHello(b []byte) (id tee.Identity, err error) {
	if len(b) < 64 {
		return id, fmt.Errorf("%w: hello of %d bytes", ErrFormat, len(b))
	}
	id.Digest, id.Signer = image.Digest(b[:32]), image.SignerID(b[32:64])
	if id.Manifest, err = image.ParseManifest(b[64:]); err != nil {
		return id, fmt.Errorf("%w: manifest: %w", ErrFormat, err)
	}
	return id, nil
}

// Ready tells the host what the enclave found of its own confinement (JSON).
func Ready(p []tee.Protection) ([]byte, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encoding protections: %w", err)
	}
	return append([]byte{byte(KindReady)}, b...), nil
}

// ParseReady reads a Ready after its kind.
func ParseReady(b []byte) (p []tee.Protection, err error) {
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if len(p) > 32 {
		return nil, fmt.Errorf("%w: %d protections", ErrFormat, len(p))
	}
	return p, nil
}

// Lane announces the lane number id with memory of size bytes; its descriptors
// come with it:
//
//	id (4), size (8)
func Lane(id uint32, size uint64) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{byte(KindLane)}, id)
	return binary.LittleEndian.AppendUint64(b, size)
}

// ParseLane reads a Lane after its kind.
func ParseLane(b []byte) (id uint32, size uint64, err error) {
	if len(b) != 12 {
		return 0, 0, fmt.Errorf("%w: lane of %d bytes", ErrFormat, len(b))
	}
	return binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint64(b[4:]), nil
}

// LaneReply says that the enclave has taken the lane, or why not:
//
//	id (4), result
func LaneReply(id uint32, err error) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{byte(KindLaneReply)}, id)
	return appendResult(b, nil, err)
}

// ParseLaneReply reads a LaneReply after its kind.
func ParseLaneReply(b []byte) (id uint32, result, err error) {
	if len(b) < 4 {
		return 0, nil, fmt.Errorf("%w: lane reply of %d bytes", ErrFormat, len(b))
	}
	_, result, err = parseResult(b[4:])
	return binary.LittleEndian.Uint32(b), result, err
}
