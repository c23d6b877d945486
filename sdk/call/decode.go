package call

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/secgear/secgear/sdk/shm"
)

// Decoder reads a message in private memory. After the first fault every read
// yields zero values and End returns the fault.
type Decoder struct {
	buf   []byte
	off   int
	owned bool // buf belongs to the values: byte slices may alias it
	err   error
	from  shm.Borrows // who resolves buffers in the message
}

// NewDecoder returns a decoder of the message in buf, which stays the caller's
// and belongs to no call.
func NewDecoder(buf []byte) Decoder { return Decoder{buf: buf} }

// Fail records a fault; the first one counts.
func (d *Decoder) Fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s at byte %d of %d", ErrMessage, what, d.off, len(d.buf))
	}
	d.off = len(d.buf)
}

// take returns the next n bytes, or nil.
func (d *Decoder) take(n int) []byte {
	if n < 0 || len(d.buf)-d.off < n {
		d.Fail("cut short")
		return nil
	}
	b := d.buf[d.off : d.off+n : d.off+n]
	d.off += n
	return b
}

// End returns the first fault, trailing bytes being one.
func (d *Decoder) End() error {
	if d.err == nil && d.off != len(d.buf) {
		d.Fail("trailing bytes")
	}
	return d.err
}

// Bool reads a bool.
func (d *Decoder) Bool() bool {
	v := d.Uint8()
	if v > 1 {
		d.Fail("bool is neither 0 nor 1")
	}
	return v == 1
}

// Uint8 reads a uint8.
func (d *Decoder) Uint8() uint8 {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

// Uint16 reads a uint16.
func (d *Decoder) Uint16() uint16 {
	if b := d.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

// Uint32 reads a uint32.
func (d *Decoder) Uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// Uint64 reads a uint64.
func (d *Decoder) Uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// Int8 reads an int8.
func (d *Decoder) Int8() int8 { return int8(d.Uint8()) }

// Int16 reads an int16.
func (d *Decoder) Int16() int16 { return int16(d.Uint16()) }

// Int32 reads an int32.
func (d *Decoder) Int32() int32 { return int32(d.Uint32()) }

// Int64 reads an int64.
func (d *Decoder) Int64() int64 { return int64(d.Uint64()) }

// Int reads an int of 8 bytes; one that this machine's int can't hold is a
// fault.
func (d *Decoder) Int() int {
	v := int64(d.Uint64())
	if int64(int(v)) != v {
		d.Fail("int out of range")
		return 0
	}
	return int(v)
}

// Uint reads a uint of 8 bytes; one that this machine's uint can't hold is a
// fault.
func (d *Decoder) Uint() uint {
	v := d.Uint64()
	if uint64(uint(v)) != v {
		d.Fail("uint out of range")
		return 0
	}
	return uint(v)
}

// Float32 reads a float32.
func (d *Decoder) Float32() float32 { return math.Float32frombits(d.Uint32()) }

// Float64 reads a float64.
func (d *Decoder) Float64() float64 { return math.Float64frombits(d.Uint64()) }

// Count reads the number of elements that follow, each at least size > 0 bytes
// long. A count that the rest of the message can't hold is a fault and reads
// as zero, so that it may be allocated.
func (d *Decoder) Count(size int) int {
	n := d.Uint32()
	if uint64(n)*uint64(size) > uint64(len(d.buf)-d.off) {
		d.Fail("count exceeds the message")
		return 0
	}
	return int(n)
}

// Raw fills v: a byte array.
func (d *Decoder) Raw(v []byte) {
	copy(v, d.take(len(v)))
}

// Bytes reads a byte slice, nil when empty. The slice belongs to the caller.
func (d *Decoder) Bytes() []byte {
	b := d.take(d.Count(1))
	if len(b) == 0 {
		return nil
	}
	if d.owned {
		return b
	}
	return append([]byte(nil), b...)
}

// String reads a string.
func (d *Decoder) String() string { return string(d.take(d.Count(1))) }

// Duration reads a duration in nanoseconds.
func (d *Decoder) Duration() time.Duration { return time.Duration(d.Int64()) }

// Time reads an instant, in UTC.
func (d *Decoder) Time() time.Time {
	sec, nsec := d.Int64(), d.Uint32()
	if nsec >= 1e9 {
		d.Fail("nanoseconds out of range")
		return time.Time{}
	}
	return time.Unix(sec-secondsToUnix, int64(nsec)).UTC()
}

// Buffer reads a reference to shared memory and checks it against the lane it
// came over. As an argument the buffer is borrowed until the handler returns,
// as a result it belongs to the caller, who frees it.
func (d *Decoder) Buffer() shm.Buffer {
	r := shm.Ref{Arena: d.Uint32(), Len: d.Uint32(), Off: d.Uint64()}
	if d.err != nil {
		return shm.Buffer{}
	}
	if d.from == nil {
		d.Fail("a buffer outside a lane")
		return shm.Buffer{}
	}
	b, err := d.from.Borrow(r)
	if err != nil {
		d.Fail(err.Error())
	}
	return b
}
