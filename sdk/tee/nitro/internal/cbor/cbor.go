// Package cbor reads and writes the part of CBOR (RFC 8949) that Nitro's
// formats are made of: integers, byte and text strings, arrays, maps, booleans
// and null.
//
// Reading is strict: lengths are definite, every number has its shortest form,
// nesting is bounded, and nothing is allocated by a length that the input does
// not have. What is read is a part of the input, not a copy.
package cbor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// ErrFormat is matched by all errors of a Reader.
var ErrFormat = errors.New("not the CBOR expected")

// Major types, as in the upper three bits of an item's first byte.
const (
	majorUint     = 0
	majorNegative = 1
	majorBytes    = 2
	majorText     = 3
	majorArray    = 4
	majorMap      = 5
	majorTag      = 6
	majorOther    = 7
)

// Simple values, whole first bytes.
const (
	simpleFalse = 0xf4
	simpleTrue  = 0xf5
	simpleNull  = 0xf6
)

// appendHead appends an item's head in its shortest form.
func appendHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

// AppendUint appends a number.
func AppendUint(b []byte, n uint64) []byte { return appendHead(b, majorUint, n) }

// AppendInt appends a number that may be negative.
func AppendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHead(b, majorNegative, uint64(^n))
	}
	return appendHead(b, majorUint, uint64(n))
}

// AppendBytes appends a byte string.
func AppendBytes(b, s []byte) []byte { return append(appendHead(b, majorBytes, uint64(len(s))), s...) }

// AppendText appends a text string, which is valid UTF-8.
func AppendText(b []byte, s string) []byte {
	return append(appendHead(b, majorText, uint64(len(s))), s...)
}

// AppendArray appends the head of an array; its n items follow.
func AppendArray(b []byte, n int) []byte { return appendHead(b, majorArray, uint64(n)) }

// AppendMap appends the head of a map; its n keys and values follow.
func AppendMap(b []byte, n int) []byte { return appendHead(b, majorMap, uint64(n)) }

// AppendBool appends a truth value.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, simpleTrue)
	}
	return append(b, simpleFalse)
}

// AppendNull appends null.
func AppendNull(b []byte) []byte { return append(b, simpleNull) }

// Reader reads items one after the other. After an error all later reads fail
// with it, so that errors may be looked at once, at the end.
type Reader struct {
	rest []byte
	err  error
}

// NewReader returns a reader of b.
func NewReader(b []byte) *Reader { return &Reader{rest: b} }

// Err is the first error.
func (r *Reader) Err() error { return r.err }

// End returns the first error; if there is none, one if anything is left.
func (r *Reader) End() error {
	if r.err == nil && len(r.rest) > 0 {
		r.fail("%d bytes follow", len(r.rest))
	}
	return r.err
}

// Left is how many bytes are left.
func (r *Reader) Left() int { return len(r.rest) }

func (r *Reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrFormat}, args...)...)
	}
	r.rest = nil
}

// head reads an item's head: its major type and number.
func (r *Reader) head() (major byte, n uint64) {
	if len(r.rest) == 0 {
		r.fail("it ends early")
		return 0, 0
	}
	first := r.rest[0]
	major, info := first>>5, first&31
	if info < 24 {
		r.rest = r.rest[1:]
		return major, uint64(info)
	}
	size := 1 << (info & 3)
	if info > 27 || len(r.rest) < 1+size {
		r.fail("an item begins with %#x", first)
		return 0, 0
	}
	for _, c := range r.rest[1 : 1+size] {
		n = n<<8 | uint64(c)
	}
	r.rest = r.rest[1+size:]
	least := uint64(24) // the smallest number that needs this size
	if size > 1 {
		least = 1 << (4 * size)
	}
	if n < least {
		r.fail("the number %d is not in its shortest form", n)
		return 0, 0
	}
	return major, n
}

// expect reads the head of an item that must be of the given type.
func (r *Reader) expect(major byte, what string) uint64 {
	got, n := r.head()
	if r.err == nil && got != major {
		r.fail("an item of type %d where %s belongs", got, what)
		return 0
	}
	return n
}

// Uint reads a number that is not negative.
func (r *Reader) Uint() uint64 { return r.expect(majorUint, "a number") }

// Int reads a number.
func (r *Reader) Int() int64 {
	major, n := r.head()
	switch {
	case r.err != nil:
		return 0
	case n > math.MaxInt64 || major > majorNegative:
		r.fail("an item of type %d where a number of 64 bits belongs", major)
		return 0
	case major == majorNegative:
		return ^int64(n)
	}
	return int64(n)
}

// Bytes reads a byte string.
func (r *Reader) Bytes() []byte { return r.take(r.expect(majorBytes, "a byte string")) }

// Text reads a text string.
func (r *Reader) Text() string {
	b := r.take(r.expect(majorText, "a text"))
	if !utf8.Valid(b) {
		r.fail("a text is not UTF-8")
		return ""
	}
	return string(b)
}

func (r *Reader) take(n uint64) []byte {
	if r.err != nil {
		return nil
	}
	if n > uint64(len(r.rest)) {
		r.fail("%d bytes are announced and %d left", n, len(r.rest))
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// Array reads the head of an array and returns how many items follow.
func (r *Reader) Array() int { return r.count(r.expect(majorArray, "an array"), 1) }

// Map reads the head of a map and returns how many pairs follow.
func (r *Reader) Map() int { return r.count(r.expect(majorMap, "a map"), 2) }

// count checks a number of items of at least size bytes each.
func (r *Reader) count(n, size uint64) int {
	if r.err == nil && n > uint64(len(r.rest))/size {
		r.fail("%d items are announced in %d bytes", n, len(r.rest))
		return 0
	}
	return int(n)
}

// Bool reads a truth value.
func (r *Reader) Bool() bool {
	if len(r.rest) > 0 && (r.rest[0] == simpleFalse || r.rest[0] == simpleTrue) {
		v := r.rest[0] == simpleTrue
		r.rest = r.rest[1:]
		return v
	}
	r.fail("no truth value where one belongs")
	return false
}

// Null reads null if it is next, and tells whether it was.
func (r *Reader) Null() bool {
	if len(r.rest) > 0 && r.rest[0] == simpleNull {
		r.rest = r.rest[1:]
		return true
	}
	return false
}

// IsText tells whether a text is next.
func (r *Reader) IsText() bool { return len(r.rest) > 0 && r.rest[0]>>5 == majorText }

// maxNesting is how deep skipped items may be nested.
const maxNesting = 16

// Skip reads one item of any kind, with all that is in it.
func (r *Reader) Skip() { r.skip(maxNesting) }

func (r *Reader) skip(levels int) {
	if levels == 0 {
		r.fail("items are nested too deeply")
		return
	}
	if len(r.rest) > 0 && r.rest[0] >= simpleFalse && r.rest[0] <= simpleNull {
		r.rest = r.rest[1:]
		return
	}
	major, n := r.head()
	items := 0
	switch major {
	case majorBytes, majorText:
		r.take(n)
	case majorArray:
		items = r.count(n, 1)
	case majorMap:
		items = 2 * r.count(n, 2)
	case majorTag:
		items = 1
	case majorOther:
		r.fail("a simple value or float that is not expected")
	}
	for range items {
		if r.err != nil {
			return
		}
		r.skip(levels - 1)
	}
}
