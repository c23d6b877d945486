package call

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/secgear/secgear/sdk/shm"
)

// Encoder writes a message whose size was fixed before. It never writes past
// it: a value that grew in between is a [ErrMessage] when the message is sent.
// The zero Encoder has no room.
type Encoder struct {
	buf []byte
	off int
	bad bool
	err error     // why the call could not begin
	to  shm.Loans // whom buffers in the message are lent to
}

// NewEncoder returns an encoder whose message fills buf. The message belongs
// to no call, so that it can't hold buffers.
func NewEncoder(buf []byte) Encoder { return Encoder{buf: buf} }

// room returns n bytes to write, or nil (and marks the message bad).
func (e *Encoder) room(n int) []byte {
	if len(e.buf)-e.off < n {
		e.bad = true
		return nil
	}
	b := e.buf[e.off : e.off+n : e.off+n]
	e.off += n
	return b
}

// Bool writes v.
func (e *Encoder) Bool(v bool) {
	var b uint8
	if v {
		b = 1
	}
	e.Uint8(b)
}

// Uint8 writes v.
func (e *Encoder) Uint8(v uint8) {
	if b := e.room(1); b != nil {
		b[0] = v
	}
}

// Uint16 writes v.
func (e *Encoder) Uint16(v uint16) {
	if b := e.room(2); b != nil {
		binary.LittleEndian.PutUint16(b, v)
	}
}

// Uint32 writes v.
func (e *Encoder) Uint32(v uint32) {
	if b := e.room(4); b != nil {
		binary.LittleEndian.PutUint32(b, v)
	}
}

// Uint64 writes v.
func (e *Encoder) Uint64(v uint64) {
	if b := e.room(8); b != nil {
		binary.LittleEndian.PutUint64(b, v)
	}
}

// Int8 writes v.
func (e *Encoder) Int8(v int8) { e.Uint8(uint8(v)) }

// Int16 writes v.
func (e *Encoder) Int16(v int16) { e.Uint16(uint16(v)) }

// Int32 writes v.
func (e *Encoder) Int32(v int32) { e.Uint32(uint32(v)) }

// Int64 writes v.
func (e *Encoder) Int64(v int64) { e.Uint64(uint64(v)) }

// Int writes v in 8 bytes.
func (e *Encoder) Int(v int) { e.Uint64(uint64(int64(v))) }

// Uint writes v in 8 bytes.
func (e *Encoder) Uint(v uint) { e.Uint64(uint64(v)) }

// Float32 writes v.
func (e *Encoder) Float32(v float32) { e.Uint32(math.Float32bits(v)) }

// Float64 writes v.
func (e *Encoder) Float64(v float64) { e.Uint64(math.Float64bits(v)) }

// Count writes the number of elements of a slice or map.
func (e *Encoder) Count(n int) {
	if uint64(n) > math.MaxUint32 {
		e.bad = true
		return
	}
	e.Uint32(uint32(n))
}

// Raw writes v without its length: a byte array.
func (e *Encoder) Raw(v []byte) {
	if b := e.room(len(v)); b != nil {
		copy(b, v)
	}
}

// Bytes writes v with its length.
func (e *Encoder) Bytes(v []byte) {
	e.Count(len(v))
	e.Raw(v)
}

// String writes v with its length.
func (e *Encoder) String(v string) {
	e.Count(len(v))
	if b := e.room(len(v)); b != nil {
		copy(b, v)
	}
}

// Duration writes v in nanoseconds.
func (e *Encoder) Duration(v time.Duration) { e.Int64(int64(v)) }

// secondsToUnix is the time between year 1 and 1970, in seconds.
const secondsToUnix = 62135596800

// Time writes the instant v; its location and monotonic reading are left out.
func (e *Encoder) Time(v time.Time) {
	e.Int64(v.Unix() + secondsToUnix)
	e.Uint32(uint32(v.Nanosecond()))
}

// Buffer writes a reference to b and lends b to the other side until the call
// is over (an argument) or gives it away (a result).
func (e *Encoder) Buffer(b shm.Buffer) {
	room := e.room(SizeBuffer)
	if room == nil || e.err != nil {
		return // nothing is lent to a call that could not begin
	}
	if e.to == nil {
		e.err = fmt.Errorf("%w: a buffer outside a lane", ErrMessage)
		return
	}
	r, err := e.to.Lend(b)
	if err != nil {
		e.err = err
		return
	}
	binary.LittleEndian.PutUint32(room, r.Arena)
	binary.LittleEndian.PutUint32(room[4:], r.Len)
	binary.LittleEndian.PutUint64(room[8:], r.Off)
}

// End returns the first fault; a message shorter than its size is one.
func (e *Encoder) End() error {
	if e.err == nil && (e.bad || e.off != len(e.buf)) {
		e.err = fmt.Errorf("%w: a value changed while it was encoded", ErrMessage)
	}
	return e.err
}

// Sizes in bytes of encoded values whose size is fixed.
const (
	SizeTime   = 12
	SizeBuffer = 16
	SizeCount  = 4
)

// SizeString returns the encoded size of v.
func SizeString(v string) int { return SizeCount + len(v) }

// SizeBytes returns the encoded size of v.
func SizeBytes(v []byte) int { return SizeCount + len(v) }
