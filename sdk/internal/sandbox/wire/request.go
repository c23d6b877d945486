package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/secgear/secgear/sdk/tee"
)

// MaxID is the length of a counter's id at most. The platform's own bound is
// lower.
const MaxID = 4096

// Op is what an enclave asks of its platform.
type Op byte

// The requests.
const (
	OpSealingKey Op = 1
	OpEvidence   Op = 2
	OpCounter    Op = 3
	OpIncrement  Op = 4
)

// Request is what an enclave asks of its platform. Which fields have a meaning
// depends on Op.
type Request struct {
	Op      Op
	Policy  tee.Policy
	Version uint32
	Salt    [32]byte
	Data    [64]byte
	ID      string
}

// Encode returns the message:
//
//	op (1), then for OpSealingKey policy (1), version (4), salt (32);
//	for OpEvidence data (64); for the others the id
func (r Request) Encode() []byte {
	b := []byte{byte(KindRequest), byte(r.Op)}
	switch r.Op {
	case OpSealingKey:
		b = append(b, byte(r.Policy))
		b = binary.LittleEndian.AppendUint32(b, r.Version)
		b = append(b, r.Salt[:]...)
	case OpEvidence:
		b = append(b, r.Data[:]...)
	default:
		b = append(b, r.ID...)
	}
	return b
}

// ParseRequest reads a Request after its kind.
func ParseRequest(b []byte) (r Request, err error) {
	if len(b) == 0 {
		return r, fmt.Errorf("%w: empty request", ErrFormat)
	}
	r.Op, b = Op(b[0]), b[1:]
	wrong := false
	switch r.Op {
	case OpSealingKey:
		if wrong = len(b) != 37; !wrong {
			r.Policy, r.Version, r.Salt = tee.Policy(b[0]), binary.LittleEndian.Uint32(b[1:]), [32]byte(b[5:])
		}
	case OpEvidence:
		if wrong = len(b) != 64; !wrong {
			r.Data = [64]byte(b)
		}
	case OpCounter, OpIncrement:
		if wrong = len(b) > MaxID; !wrong {
			r.ID = string(b)
		}
	default:
		return r, fmt.Errorf("%w: unknown request %d", ErrFormat, r.Op)
	}
	if wrong {
		return r, fmt.Errorf("%w: request %d of %d bytes", ErrFormat, r.Op, len(b))
	}
	return r, nil
}

// Reply answers a request with body, or with why not.
func Reply(body []byte, err error) []byte {
	return appendResult([]byte{byte(KindReply)}, body, err)
}

// ParseReply reads a Reply after its kind. The body is part of b.
func ParseReply(b []byte) (body []byte, result, err error) { return parseResult(b) }

// A result is a code, then a body or an error's text.
const (
	codeOK          = 0
	codeError       = 1
	codeUnsupported = 2
)

// maxText bounds an error's text.
const maxText = 1 << 10

func appendResult(b, body []byte, err error) []byte {
	if err == nil {
		return append(append(b, codeOK), body...)
	}
	code := byte(codeError)
	if errors.Is(err, errors.ErrUnsupported) {
		code = codeUnsupported
	}
	text := err.Error()
	return append(append(b, code), text[:min(len(text), maxText)]...)
}

func parseResult(b []byte) (body []byte, result, err error) {
	if len(b) == 0 {
		return nil, nil, fmt.Errorf("%w: no result", ErrFormat)
	}
	code, rest := b[0], b[1:]
	switch {
	case code == codeOK:
		return rest, nil, nil
	case code > codeUnsupported || len(rest) > maxText:
		return nil, nil, fmt.Errorf("%w: result %d of %d bytes", ErrFormat, code, len(rest))
	case code == codeUnsupported:
		return nil, &remoteError{string(rest), errors.ErrUnsupported}, nil
	}
	return nil, &remoteError{string(rest), nil}, nil
}

// remoteError is an error of the other side. Its text was chosen there.
type remoteError struct {
	text string
	is   error
}

func (e *remoteError) Error() string { return fmt.Sprintf("%.*q", maxText, e.text) }
func (e *remoteError) Unwrap() error { return e.is }

// Value is the body of a reply that is a number.
func Value(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

// ParseValue reads a number from a reply's body.
func ParseValue(b []byte) (uint64, error) {
	if len(b) != 8 {
		return 0, fmt.Errorf("%w: number of %d bytes", ErrFormat, len(b))
	}
	return binary.LittleEndian.Uint64(b), nil
}
