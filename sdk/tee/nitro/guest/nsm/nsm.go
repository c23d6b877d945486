// Package nsm speaks with the Nitro Secure Module: the device inside an enclave
// that attests to what runs there, and keeps its platform configuration
// registers.
//
// Programs get at evidence and random numbers through package enclave. This one
// is for what only Nitro has: registers of the program's own (16 to 31), and
// documents with a public key, to which AWS's key management service encrypts.
package nsm

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/secgear/secgear/sdk/tee/nitro/internal/cbor"
)

// Bounds of the device's, in bytes.
const (
	MaxPublicKey = 1024
	MaxUserData  = 512
	MaxNonce     = 512

	maxRequest  = 0x1000
	maxResponse = 0x3000
	maxDocument = maxResponse
	pcrSize     = 48
	maxRandom   = 256
)

// FirstOwn is the first register that programs may extend; those before it
// belong to the hypervisor, and are locked.
const FirstOwn = 16

// ErrResponse is matched when the device's answer is malformed.
var ErrResponse = errors.New("malformed answer of the Nitro Secure Module")

// Error is a refusal by the device: "InvalidArgument", "InvalidIndex",
// "ReadOnlyIndex", "InvalidOperation", "BufferTooSmall", "InputTooLarge" or
// "InternalError".
type Error string

func (e Error) Error() string { return "the Nitro Secure Module refuses: " + string(e) }

// Device exchanges messages with the module: it sends a request, puts the
// response into a buffer and returns its length.
type Device interface {
	Exchange(request, response []byte) (int, error)
}

// Session is a conversation with the module. Its methods are safe for concurrent
// use.
type Session struct {
	mu     sync.Mutex
	device Device
}

// NewSession returns a session over d.
func NewSession(d Device) *Session { return &Session{device: d} }

// Close closes the device, if it can be.
func (s *Session) Close() error {
	if c, ok := s.device.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// ask sends a request and returns a reader of its response, at the value that
// belongs to name. A response is {name: value}, name alone if it has no value,
// or {"Error": text}.
func (s *Session) ask(name string, request []byte, hasValue bool) (*cbor.Reader, error) {
	if len(request) > maxRequest {
		return nil, fmt.Errorf("asking the Nitro Secure Module for %s: %d bytes are more than %d", name, len(request), maxRequest)
	}
	response := make([]byte, maxResponse)
	s.mu.Lock()
	n, err := s.device.Exchange(request, response)
	s.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("asking the Nitro Secure Module for %s: %w", name, err)
	}
	if n < 0 || n > len(response) {
		return nil, fmt.Errorf("asking the Nitro Secure Module for %s: %w: %d bytes", name, ErrResponse, n)
	}
	r := cbor.NewReader(response[:n])
	if err := open(r, name, hasValue); err != nil {
		return nil, fmt.Errorf("asking the Nitro Secure Module for %s: %w", name, err)
	}
	return r, nil
}

// open reads a response up to its value.
func open(r *cbor.Reader, name string, hasValue bool) error {
	if r.IsText() {
		got := r.Text()
		if err := r.End(); err != nil {
			return fmt.Errorf("%w: %w", ErrResponse, err)
		}
		if got != name || hasValue {
			return fmt.Errorf("%w: %.40q", ErrResponse, got)
		}
		return nil
	}
	n, key := r.Map(), r.Text()
	if r.Err() == nil && n == 1 && key == "Error" {
		text := r.Text()
		if err := r.End(); err == nil {
			return Error(printable(text))
		}
	}
	if r.Err() != nil {
		return fmt.Errorf("%w: %w", ErrResponse, r.Err())
	}
	if n != 1 || key != name || !hasValue {
		return fmt.Errorf("%w: a map of %d with %.40q", ErrResponse, n, key)
	}
	return nil
}

// printable keeps an error's name to what errors have as names.
func printable(s string) string {
	const longest = 40
	if len(s) > longest {
		s = s[:longest]
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return "an error without a proper name"
		}
	}
	return s
}

// fields reads the map that is a response's value. read reads the value of a
// field, or returns false for one that it does not know.
func fields(r *cbor.Reader, read func(key string) bool) error {
	for range r.Map() {
		key := r.Text()
		if r.Err() == nil && !read(key) {
			r.Skip()
		}
	}
	if err := r.End(); err != nil {
		return fmt.Errorf("%w: %w", ErrResponse, err)
	}
	return nil
}

// Attest returns a document about this enclave that says publicKey, userData and
// nonce, each of which may be nil.
func (s *Session) Attest(publicKey, userData, nonce []byte) ([]byte, error) {
	request := cbor.AppendMap(nil, 1)
	request = cbor.AppendText(request, "Attestation")
	request = cbor.AppendMap(request, 3)
	for _, f := range []struct {
		name  string
		value []byte
		most  int
	}{
		{"user_data", userData, MaxUserData}, {"nonce", nonce, MaxNonce}, {"public_key", publicKey, MaxPublicKey},
	} {
		if len(f.value) > f.most {
			return nil, fmt.Errorf("asking for attestation: %s of %d bytes is longer than %d", f.name, len(f.value), f.most)
		}
		request = cbor.AppendText(request, f.name)
		if f.value == nil {
			request = cbor.AppendNull(request)
		} else {
			request = cbor.AppendBytes(request, f.value)
		}
	}
	r, err := s.ask("Attestation", request, true)
	if err != nil {
		return nil, err
	}
	var document []byte
	err = fields(r, func(key string) bool {
		if key != "document" {
			return false
		}
		document = r.Bytes()
		return true
	})
	if err == nil && (len(document) == 0 || len(document) > maxDocument) {
		err = fmt.Errorf("%w: a document of %d bytes", ErrResponse, len(document))
	}
	if err != nil {
		return nil, fmt.Errorf("asking for attestation: %w", err)
	}
	return append([]byte(nil), document...), nil
}

// Random returns up to 256 random bytes, as many as the module gives at a time.
func (s *Session) Random() ([]byte, error) {
	r, err := s.ask("GetRandom", cbor.AppendText(nil, "GetRandom"), true)
	if err != nil {
		return nil, err
	}
	var random []byte
	err = fields(r, func(key string) bool {
		if key != "random" {
			return false
		}
		random = r.Bytes()
		return true
	})
	if err == nil && (len(random) == 0 || len(random) > maxRandom) {
		err = fmt.Errorf("%w: %d bytes", ErrResponse, len(random))
	}
	if err != nil {
		return nil, fmt.Errorf("asking for random numbers: %w", err)
	}
	return append([]byte(nil), random...), nil
}

// PCR is the state of a register.
type PCR struct {
	Value  [pcrSize]byte
	Locked bool // it can't be extended any more, and documents hold it
}

// indexed begins a request about register index.
func indexed(name, field string, index uint8, more int) []byte {
	b := cbor.AppendMap(nil, 1)
	b = cbor.AppendText(b, name)
	b = cbor.AppendMap(b, 1+more)
	b = cbor.AppendText(b, field)
	return cbor.AppendUint(b, uint64(index))
}

// Describe returns the state of a register.
func (s *Session) Describe(index uint8) (PCR, error) {
	r, err := s.ask("DescribePCR", indexed("DescribePCR", "index", index, 0), true)
	if err != nil {
		return PCR{}, err
	}
	return register(r, index)
}

// Extend extends a register with data, at most 3 KiB, and returns its new value.
func (s *Session) Extend(index uint8, data []byte) (PCR, error) {
	request := indexed("ExtendPCR", "index", index, 1)
	request = cbor.AppendText(request, "data")
	request = cbor.AppendBytes(request, data)
	r, err := s.ask("ExtendPCR", request, true)
	if err != nil {
		return PCR{}, err
	}
	return register(r, index)
}

// register reads what a response says of a register.
func register(r *cbor.Reader, index uint8) (PCR, error) {
	var p PCR
	var value []byte
	err := fields(r, func(key string) bool {
		switch key {
		case "data":
			value = r.Bytes()
		case "lock":
			p.Locked = r.Bool()
		default:
			return false
		}
		return true
	})
	if err == nil && len(value) != pcrSize {
		err = fmt.Errorf("%w: a value of %d bytes", ErrResponse, len(value))
	}
	if err != nil {
		return PCR{}, fmt.Errorf("reading PCR%d: %w", index, err)
	}
	copy(p.Value[:], value)
	return p, nil
}

// Lock locks a register, until the enclave's end.
func (s *Session) Lock(index uint8) error {
	_, err := s.ask("LockPCR", indexed("LockPCR", "index", index, 0), false)
	return err
}

// LockBelow locks all registers below count.
func (s *Session) LockBelow(count uint8) error {
	_, err := s.ask("LockPCRs", indexed("LockPCRs", "range", count, 0), false)
	return err
}
