// Package wire is how a host begins a stream to an enclave in a Nitro Enclave:
// every stream is a vsock connection to one port of the enclave, and begins with
// a preface by the host and the enclave's answer.
//
//	preface, 48 bytes:
//	  0 "secgear" 0x01
//	  8 kind (1 control, 2 lane)
//	  9 7 zeros
//	 16 token
//
//	answer:
//	  0 one byte: 0 taken, 1 refused
//	  1 if refused: length of the reason uint16, little-endian
//	  3 the reason
//
// Whoever opens the control stream first owns the enclave, and chooses the
// token; lanes are taken from who knows it. That keeps other users of the host
// apart. It is no secret from the host's kernel, and protects nothing from it.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Port is where the enclave listens.
const Port = 24262

// HeartbeatPort and Heartbeat are what AWS's tools expect of an enclave when it
// has started: a connection to its parent, and that byte there and back.
const (
	HeartbeatPort = 9000
	Heartbeat     = 0xb7
)

// ListeningLine is what the enclave's machine prints on its console when the
// enclave listens.
const ListeningLine = "secgear guest: listening"

// Kind is what a stream is for.
type Kind byte

// The kinds.
const (
	Control Kind = 1
	Lane    Kind = 2
)

// Token is known to the enclave's owner.
type Token [32]byte

const magic = "secgear\x01"

// PrefaceSize is the size of a preface in bytes.
const PrefaceSize = 48

// ErrFormat is matched when a preface or an answer is malformed.
var ErrFormat = errors.New("malformed beginning of a stream")

// Preface returns the preface of a stream.
func Preface(kind Kind, token Token) []byte {
	b := append([]byte(magic), byte(kind), 0, 0, 0, 0, 0, 0, 0)
	return append(b, token[:]...)
}

// ParsePreface reads a preface, and nothing else.
func ParsePreface(b []byte) (Kind, Token, error) {
	var token Token
	if len(b) != PrefaceSize || string(b[:8]) != magic || string(b[9:16]) != "\x00\x00\x00\x00\x00\x00\x00" {
		return 0, token, fmt.Errorf("%w: no preface", ErrFormat)
	}
	kind := Kind(b[8])
	if kind != Control && kind != Lane {
		return 0, token, fmt.Errorf("%w: kind %d", ErrFormat, kind)
	}
	copy(token[:], b[16:])
	return kind, token, nil
}

// MaxReason is the length of the longest reason of a refusal, in bytes.
const MaxReason = 1024

// Answer returns the answer to a preface; refusal is nil if the stream is taken.
func Answer(refusal error) []byte {
	if refusal == nil {
		return []byte{0}
	}
	reason := refusal.Error()
	reason = reason[:min(len(reason), MaxReason)]
	b := binary.LittleEndian.AppendUint16([]byte{1}, uint16(len(reason)))
	return append(b, reason...)
}

// Refusal is a reason that the enclave gave.
type Refusal string

func (r Refusal) Error() string { return "the enclave refuses the stream: " + string(r) }

// ReadAnswer reads an answer and not a byte more. A refusal is an error of type
// [Refusal].
func ReadAnswer(r io.Reader) error {
	var head [1]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	switch head[0] {
	case 0:
		return nil
	case 1:
	default:
		return fmt.Errorf("%w: an answer %d", ErrFormat, head[0])
	}
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint16(size[:])
	if n > MaxReason {
		return fmt.Errorf("%w: a reason of %d bytes", ErrFormat, n)
	}
	reason := make([]byte, n)
	if _, err := io.ReadFull(r, reason); err != nil {
		return err
	}
	return Refusal(reason)
}
