package call

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/shm"
)

// TestEncoding fixes the bytes of each simple type.
func TestEncoding(t *testing.T) {
	tests := []struct {
		name   string
		encode func(*Encoder)
		want   string
	}{
		{"bool", func(e *Encoder) { e.Bool(true); e.Bool(false) }, "\x01\x00"},
		{"uint8", func(e *Encoder) { e.Uint8(0xfe) }, "\xfe"},
		{"uint16", func(e *Encoder) { e.Uint16(0x0102) }, "\x02\x01"},
		{"uint32", func(e *Encoder) { e.Uint32(0x01020304) }, "\x04\x03\x02\x01"},
		{"uint64", func(e *Encoder) { e.Uint64(1 << 56) }, "\x00\x00\x00\x00\x00\x00\x00\x01"},
		{"int8", func(e *Encoder) { e.Int8(-2) }, "\xfe"},
		{"int16", func(e *Encoder) { e.Int16(-2) }, "\xfe\xff"},
		{"int32", func(e *Encoder) { e.Int32(-2) }, "\xfe\xff\xff\xff"},
		{"int64", func(e *Encoder) { e.Int64(-2) }, "\xfe\xff\xff\xff\xff\xff\xff\xff"},
		{"int", func(e *Encoder) { e.Int(-2) }, "\xfe\xff\xff\xff\xff\xff\xff\xff"},
		{"uint", func(e *Encoder) { e.Uint(2) }, "\x02\x00\x00\x00\x00\x00\x00\x00"},
		{"float32", func(e *Encoder) { e.Float32(1) }, "\x00\x00\x80\x3f"},
		{"float64", func(e *Encoder) { e.Float64(-2) }, "\x00\x00\x00\x00\x00\x00\x00\xc0"},
		{"string", func(e *Encoder) { e.String("é") }, "\x02\x00\x00\x00\xc3\xa9"},
		{"bytes", func(e *Encoder) { e.Bytes([]byte("ab")) }, "\x02\x00\x00\x00ab"},
		{"raw", func(e *Encoder) { e.Raw([]byte("ab")) }, "ab"},
		{"count", func(e *Encoder) { e.Count(3) }, "\x03\x00\x00\x00"},
		{"duration", func(e *Encoder) { e.Duration(time.Microsecond) }, "\xe8\x03\x00\x00\x00\x00\x00\x00"},
		{"zero time", func(e *Encoder) { e.Time(time.Time{}) }, strings.Repeat("\x00", SizeTime)},
		{"time", func(e *Encoder) { e.Time(time.Date(1, 1, 1, 0, 0, 1, 2, time.UTC)) }, "\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			buf := make([]byte, len(tt.want))
			e := NewEncoder(buf)
			tt.encode(&e)
			if err := e.End(); err != nil || string(buf) != tt.want {
				t.Errorf("got %q, error %v; want %q", buf, err, tt.want)
			}
			short := NewEncoder(make([]byte, len(tt.want)-1))
			tt.encode(&short)
			if err := short.End(); !errors.Is(err, ErrMessage) {
				t.Errorf("with too little room: %v", err)
			}
			long := NewEncoder(make([]byte, len(tt.want)+1))
			tt.encode(&long)
			if err := long.End(); !errors.Is(err, ErrMessage) {
				t.Errorf("with too much room: %v", err)
			}
		})
	}
}

// TestDecodingFaults: what is not an encoding is refused, and reads as zero.
func TestDecodingFaults(t *testing.T) {
	tests := []struct {
		name, msg string
		decode    func(*Decoder) (zero bool)
		want      string
	}{
		{"trailing byte", "\x01\x02", func(d *Decoder) bool { return d.Uint8() == 1 }, "trailing bytes at byte 1 of 2"},
		{"empty", "", func(d *Decoder) bool { return d.Uint8() == 0 }, "cut short at byte 0 of 0"},
		{"cut short", "\x01\x02\x03", func(d *Decoder) bool { return d.Uint32() == 0 }, "cut short at byte 0 of 3"},
		{"bool of 2", "\x02", func(d *Decoder) bool { return !d.Bool() }, "bool is neither 0 nor 1"},
		{"nanoseconds", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\xca\x9a\x3b", func(d *Decoder) bool { return d.Time().IsZero() }, "nanoseconds out of range"},
		{"string longer than the message", "\x03\x00\x00\x00ab", func(d *Decoder) bool { return d.String() == "" }, "count exceeds the message"},
		{"bytes of 4 GiB", "\xff\xff\xff\xff", func(d *Decoder) bool { return d.Bytes() == nil }, "count exceeds the message"},
		{"count of large elements", "\xff\xff\xff\xff", func(d *Decoder) bool { return d.Count(math.MaxInt32) == 0 }, "count exceeds the message"},
		{"array", "ab", func(d *Decoder) bool { var v [3]byte; d.Raw(v[:]); return v == [3]byte{} }, "cut short"},
		{"buffer outside a lane", strings.Repeat("\x01", SizeBuffer), func(d *Decoder) bool { return d.Buffer().Len() == 0 }, "a buffer outside a lane"},
		{"half a buffer", "\x01\x01\x01\x01", func(d *Decoder) bool { return d.Buffer().Len() == 0 }, "cut short"},
		{"own fault", "\x01", func(d *Decoder) bool { d.Fail("odd"); d.Fail("even"); return d.Uint8() == 0 }, "odd at byte 0 of 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := NewDecoder([]byte(tt.msg))
			if !tt.decode(&d) {
				t.Error("the value is not the expected one")
			}
			if err := d.End(); !errors.Is(err, ErrMessage) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if d.Uint64() != 0 || d.Bytes() != nil || d.Count(1) != 0 {
				t.Error("there are values after a fault")
			}
		})
	}
}

// TestBufferWithoutLane: a message that belongs to no call lends nothing.
func TestBufferWithoutLane(t *testing.T) {
	e := NewEncoder(make([]byte, SizeBuffer))
	e.Buffer(shm.Buffer{})
	if err := e.End(); !errors.Is(err, ErrMessage) {
		t.Errorf("got %v", err)
	}
	var none Encoder // as of a call that could not begin
	none.Buffer(shm.Buffer{})
	if err := none.End(); !errors.Is(err, ErrMessage) {
		t.Errorf("got %v", err)
	}
}

// FuzzDecoder: each simple value that is read from arbitrary bytes is written
// as the same bytes.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte("\x01\x02\x03\x00\x00\x00abc\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		d := NewDecoder(msg)
		b, u, s, at, x, i := d.Bool(), d.Uint8(), d.String(), d.Time(), d.Float64(), d.Int32()
		if d.End() != nil {
			return
		}
		buf := make([]byte, len(msg))
		e := NewEncoder(buf)
		e.Bool(b)
		e.Uint8(u)
		e.String(s)
		e.Time(at)
		e.Float64(x)
		e.Int32(i)
		if err := e.End(); err != nil || string(buf) != string(msg) {
			t.Fatalf("%q became %q, error %v", msg, buf, err)
		}
	})
}
