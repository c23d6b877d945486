package measured

import (
	"encoding/binary"
	"fmt"
)

// reader takes apart bytes that may be anything. After the first thing that is
// missing it only yields zeros, and err says what it was.
type reader struct {
	rest  []byte
	order binary.ByteOrder
	err   error
}

// bytes takes n bytes, which stay the input's.
func (r *reader) bytes(what string, n int) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.rest) {
		r.fail("%s is cut off", what)
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) u8(what string) uint8 {
	if b := r.bytes(what, 1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16(what string) uint16 {
	if b := r.bytes(what, 2); b != nil {
		return r.order.Uint16(b)
	}
	return 0
}

func (r *reader) u32(what string) uint32 {
	if b := r.bytes(what, 4); b != nil {
		return r.order.Uint32(b)
	}
	return 0
}

// sized takes a 2-byte length and as many bytes, at most most.
func (r *reader) sized(what string, most int) []byte {
	n := int(r.u16("length of " + what))
	if n > most {
		r.fail("%s of %d bytes", what, n)
	}
	return r.bytes(what, n)
}

// blob takes a 4-byte length and as many bytes, at most most.
func (r *reader) blob(what string, most int) []byte {
	n := r.u32("length of " + what)
	if n > uint32(most) {
		r.fail("%s of %d bytes", what, n)
		return nil
	}
	return r.bytes(what, int(n))
}

// want takes a value that must be v.
func (r *reader) want(what string, got, v uint32) {
	if r.err == nil && got != v {
		r.fail("%s is %#x instead of %#x", what, got, v)
	}
}

// end tells what was wrong, and refuses what is left over.
func (r *reader) end() error {
	if r.err == nil && len(r.rest) > 0 {
		r.fail("%d bytes too many", len(r.rest))
	}
	return r.err
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
	}
}
