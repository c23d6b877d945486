// Package wire is what a virtual machine's host and its guest say to each other,
// beside what passes through control stream and lanes.
//
// All of it goes over one serial port, through package mux, whose streams the
// host opens: [Platform], [Control], and one for each lane's bell. On the
// platform stream each message is
//
//	4  number of bytes that follow, 1 to MaxMessage
//	1  kind
//	…  body
//
// with integers in little-endian order. The guest begins, with Ready. From then on
// the host offers lanes, which the guest answers each with a LaneReply, and the
// guest tells which of the machine's memories it has done with. Whatever arrives
// may be anything: a message that breaks a rule ends the connection.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/secgear/secgear/sdk/tee"
)

// PortName is the name of the serial port.
const PortName = "secgear"

// Streams.
const (
	Platform uint32 = 0
	Control  uint32 = 1
	// FirstLane and those after it are lanes' bells.
	FirstLane uint32 = 2
)

// MaxMessage is the size of a message at most, in bytes.
const MaxMessage = 16 << 10

// Kind is the kind of a message.
type Kind byte

// The messages.
const (
	KindReady     Kind = 1
	KindLane      Kind = 2 // host → guest
	KindLaneReply Kind = 3
	KindFreed     Kind = 4
	KindCollect   Kind = 5 // host → guest
)

// ErrFormat is matched by errors about messages that break the rules.
var ErrFormat = errors.New("malformed message")

// Append appends a message to b.
func Append(b []byte, kind Kind, body ...byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(1+len(body)))
	return append(append(b, byte(kind)), body...)
}

// Read reads the next message into buf, which has room for the largest. The body
// is part of buf.
func Read(r io.Reader, buf []byte) (Kind, []byte, error) {
	var h [4]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(h[:])
	if n == 0 || n > MaxMessage {
		return 0, nil, fmt.Errorf("%w: of %d bytes", ErrFormat, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		return 0, nil, err
	}
	return Kind(buf[0]), buf[1:], nil
}

// Ready is the body of a message that tells the host what the guest found of its
// own confinement (JSON).
func Ready(p []tee.Protection) ([]byte, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encoding protections: %w", err)
	}
	return b, nil
}

// maxProtections bounds what a guest may tell.
const maxProtections = 32

// ParseReady reads what Ready wrote.
func ParseReady(b []byte) (p []tee.Protection, err error) {
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if len(p) > maxProtections {
		return nil, fmt.Errorf("%w: %d protections", ErrFormat, len(p))
	}
	return p, nil
}

// Lane offers a lane: its bell is the stream of that number, its memory the first
// Size bytes of the machine's memory of that number, counted from zero.
type Lane struct {
	Stream uint32
	Memory uint32
	Size   uint64
}

// Encode returns the body of the message:
//
//	stream (4), memory (4), size (8)
func (l Lane) Encode() []byte {
	b := binary.LittleEndian.AppendUint32(nil, l.Stream)
	b = binary.LittleEndian.AppendUint32(b, l.Memory)
	return binary.LittleEndian.AppendUint64(b, l.Size)
}

// ParseLane reads a Lane.
func ParseLane(b []byte) (Lane, error) {
	if len(b) != 16 {
		return Lane{}, fmt.Errorf("%w: lane of %d bytes", ErrFormat, len(b))
	}
	le := binary.LittleEndian
	return Lane{le.Uint32(b), le.Uint32(b[4:]), le.Uint64(b[8:])}, nil
}

// maxText bounds an error's text.
const maxText = 1 << 10

// LaneReply is the body of a message that says that the guest has taken the lane
// with that stream, or why not:
//
//	stream (4), text of the error, empty if there is none
func LaneReply(stream uint32, err error) []byte {
	b := binary.LittleEndian.AppendUint32(nil, stream)
	if err != nil {
		text := err.Error()
		b = append(b, text[:min(len(text), maxText)]...)
	}
	return b
}

// ParseLaneReply reads what LaneReply wrote.
func ParseLaneReply(b []byte) (stream uint32, result, err error) {
	if len(b) < 4 || len(b) > 4+maxText {
		return 0, nil, fmt.Errorf("%w: lane reply of %d bytes", ErrFormat, len(b))
	}
	if len(b) > 4 {
		result = fmt.Errorf("%.*q", maxText, b[4:])
	}
	return binary.LittleEndian.Uint32(b), result, nil
}

// Freed is the body of a message by which the guest says that it has nothing
// mapped of that memory any more:
//
//	memory (4)
func Freed(memory uint32) []byte { return binary.LittleEndian.AppendUint32(nil, memory) }

// ParseFreed reads what Freed wrote.
func ParseFreed(b []byte) (memory uint32, err error) {
	if len(b) != 4 {
		return 0, fmt.Errorf("%w: freed of %d bytes", ErrFormat, len(b))
	}
	return binary.LittleEndian.Uint32(b), nil
}
