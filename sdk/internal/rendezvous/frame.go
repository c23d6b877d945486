package rendezvous

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/secgear/secgear/sdk/internal/control"
)

// Kind says what a frame asks for or is.
type Kind uint8

// Kinds of frames.
const (
	KindStatus  Kind = 1    // asks for a JSON document that describes the enclave
	KindAttach  Kind = 2    // asks for a lane; see package host
	KindProfile Kind = 3    // asks for a profile of the enclave; see package host
	KindResult  Kind = 0x80 // answers
	KindRefused Kind = 0x81 // answers why not
)

const (
	// MaxRequest is the size of a request's payload at most, in bytes.
	MaxRequest = 4096
	// MaxResult is the size of an answer's payload at most, in bytes.
	MaxResult = 1 << 20
	// Patience is how long a connection may take for its request, and for
	// reading the answer.
	Patience = 5 * time.Second

	frameHeader = 5
)

// ErrProtocol is matched by errors about frames that break the rules.
var ErrProtocol = errors.New("the other side broke the rendezvous protocol")

// ReadFrame reads one frame with a payload of most bytes at most. An end before
// the first byte is [io.EOF]. No more is allocated than most.
func ReadFrame(r io.Reader, most int) (Kind, []byte, error) {
	var h [frameHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(h[1:])
	if uint64(n) > uint64(most) {
		return 0, nil, fmt.Errorf("%w: a frame of %d bytes", ErrProtocol, n)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return Kind(h[0]), payload, nil
}

// AppendFrame appends a frame to b.
func AppendFrame(b []byte, kind Kind, payload []byte) []byte {
	b = append(b, byte(kind))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

// Codes of refusals. They are part of the protocol.
const (
	CodeDenied      = 1 // the other process may not
	CodeFull        = 2 // there are as many as there may be
	CodeBad         = 3 // the request makes no sense
	CodeUnsupported = 4 // nobody here does that
	CodeFailed      = 5 // it went wrong
	CodeClosing     = 6 // the enclave is coming to its end
)

// Refused is why a request was refused. It matches [errors.ErrUnsupported] if
// nobody at the other end does what was asked for.
type Refused struct {
	Code uint32
	Text string // the other side's: printable characters only once received
}

// Error is the text.
func (r *Refused) Error() string { return r.Text }

// Is implements [errors.Is].
func (r *Refused) Is(target error) bool {
	return target == errors.ErrUnsupported && r.Code == CodeUnsupported
}

// maxRefusal bounds the text of a refusal, in bytes.
const maxRefusal = 1024

// Encode returns the payload of a KindRefused frame.
func (r *Refused) Encode() []byte {
	text := r.Text
	if len(text) > maxRefusal {
		text = text[:maxRefusal]
	}
	return append(binary.LittleEndian.AppendUint32(nil, r.Code), text...)
}

// ParseRefused reads the payload of a KindRefused frame.
func ParseRefused(b []byte) (*Refused, error) {
	if len(b) < 4 || len(b) > 4+maxRefusal {
		return nil, fmt.Errorf("%w: a refusal of %d bytes", ErrProtocol, len(b))
	}
	return &Refused{Code: binary.LittleEndian.Uint32(b), Text: control.Printable(string(b[4:]))}, nil
}

// ReadResult reads the answer to a request: the payload of a KindResult frame,
// or a [*Refused] error.
func ReadResult(r io.Reader) ([]byte, error) {
	kind, payload, err := ReadFrame(r, MaxResult)
	if err != nil {
		return nil, err
	}
	return Result(kind, payload)
}

// Result takes a frame for an answer, as [ReadResult].
func Result(kind Kind, payload []byte) ([]byte, error) {
	switch kind {
	case KindResult:
		return payload, nil
	case KindRefused:
		refused, err := ParseRefused(payload)
		if err != nil {
			return nil, err
		}
		return nil, refused
	}
	return nil, fmt.Errorf("%w: a frame of kind %d instead of an answer", ErrProtocol, kind)
}
