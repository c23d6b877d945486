// Package wire is what the host and an enclave in Gramine say to each other, beside
// what passes through control stream and lanes.
//
// All of it goes over the program's standard input and output, through package
// mux, whose streams the host opens: [Platform], [Control], and one for each lane's
// bell. On the platform stream each message is
//
//	4  number of bytes that follow, 1 to MaxMessage
//	1  kind
//	…  body
//
// with integers in little-endian order. The enclave begins, with Ready. From then
// on the host offers lanes, which the enclave answers each with a LaneReply.
// Whatever arrives may be anything: a message that breaks a rule ends the
// connection.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Names of the TEE: Gramine with SGX and, for development, without.
const (
	Name       = "sgx"
	DirectName = "gramine-direct"
)

// How the program finds out where it is, and where what is meant for it is inside
// Gramine. Variable's value is one of the names; the manifest sets it, and no
// variable of the host gets in.
const (
	Variable     = "SECGEAR_GRAMINE"
	IdentityFile = "/identity"
	LanesDir     = "/lanes"
)

// Streams.
const (
	Platform uint32 = 0
	Control  uint32 = 1
	// FirstLane and those after it are lanes' bells. The memory of a lane is the
	// file of LanesDir that is called like its stream.
	FirstLane uint32 = 2
)

// SpareStreams is how many streams there may be beyond those of the lanes that the
// manifest allows: some of them are about to end.
const SpareStreams = 64

// MaxMessage is the size of a message at most, in bytes.
const MaxMessage = 4 << 10

// Kind is the kind of a message.
type Kind byte

// The messages.
const (
	KindReady     Kind = 1 // without a body
	KindLane      Kind = 2 // host → enclave
	KindLaneReply Kind = 3
)

// ErrFormat is matched by errors about messages that break the rules.
var ErrFormat = errors.New("malformed message")

// Append appends a message to b.
func Append(b []byte, kind Kind, body ...byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(1+len(body)))
	return append(append(b, byte(kind)), body...)
}

// Read reads the next message into buf, which has room for MaxMessage bytes. The
// body is part of buf.
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

// Lane offers a lane of Size bytes, whose bell is that stream.
type Lane struct {
	Stream uint32
	Size   uint64
}

// Encode returns the body of the message:
//
//	stream (4), size (8)
func (l Lane) Encode() []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(nil, l.Stream), l.Size)
}

// ParseLane reads a Lane.
func ParseLane(b []byte) (Lane, error) {
	if len(b) != 12 {
		return Lane{}, fmt.Errorf("%w: lane of %d bytes", ErrFormat, len(b))
	}
	return Lane{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint64(b[4:])}, nil
}

// maxText bounds an error's text.
const maxText = 1 << 10

// LaneReply is the body of a message that says that the enclave has taken the lane
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
