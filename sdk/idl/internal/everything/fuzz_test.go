package everything

import (
	"bytes"
	"reflect"
	"runtime"
	"testing"

	"github.com/secgear/secgear/sdk/call"
)

// runtimeStats are what the heap gave out so far.
type runtimeStats struct{ allocated uint64 }

func (s *runtimeStats) read() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.allocated = m.TotalAlloc
}

// encoded returns v's message.
func encoded[T any](t testing.TB, v T, size func(T) int, encode func(*call.Encoder, T)) []byte {
	t.Helper()
	buf := make([]byte, size(v))
	e := call.NewEncoder(buf)
	encode(&e, v)
	if err := e.End(); err != nil {
		t.Fatal(err)
	}
	return buf
}

// FuzzAll decodes arbitrary bytes as a struct with a field of each type. What
// is accepted encodes to as many bytes, which mean the same. (The order of a
// map's entries is free, so that the bytes themselves may differ.)
func FuzzAll(f *testing.F) {
	for _, v := range []All{{}, sample()} {
		f.Add(encoded(f, &v, sizeAll, encodeAll))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		v, err := decodedAll(msg)
		if err != nil {
			return
		}
		again := encoded(t, &v, sizeAll, encodeAll)
		if len(again) != len(msg) {
			t.Fatalf("%d bytes decoded, %d encoded", len(msg), len(again))
		}
		w, err := decodedAll(again)
		if err != nil {
			t.Fatal(err)
		}
		if v.Ratio != v.Ratio { // NaN equals nothing
			v.Ratio, w.Ratio = 0, 0
		}
		if !reflect.DeepEqual(v, w) {
			t.Fatalf("%+v encoded and decoded is %+v", v, w)
		}
	})
}

func decodedAll(msg []byte) (All, error) {
	d := call.NewDecoder(msg)
	var v All
	decodeAll(&d, &v)
	return v, d.End()
}

// FuzzExact decodes arbitrary bytes as types without maps, whose encoding is
// the only one of its value.
func FuzzExact(f *testing.F) {
	f.Add(encoded(f, [][]float64{{1, 2}, nil}, sizeFloat64SliceSlice, encodeFloat64SliceSlice))
	f.Add(encoded(f, []*Point{nil, {1, 2}}, sizePointPointerSlice, encodePointPointerSlice))
	f.Add(encoded(f, []string{"", "é"}, sizeStringSlice, encodeStringSlice))
	f.Fuzz(func(t *testing.T, msg []byte) {
		exact(t, msg, decodeFloat64SliceSlice, sizeFloat64SliceSlice, encodeFloat64SliceSlice)
		exact(t, msg, decodePointPointerSlice, sizePointPointerSlice, encodePointPointerSlice)
		exact(t, msg, decodeStringSlice, sizeStringSlice, encodeStringSlice)
	})
}

func exact[T any](t *testing.T, msg []byte, decode func(*call.Decoder) T, size func(T) int, encode func(*call.Encoder, T)) {
	t.Helper()
	d := call.NewDecoder(msg)
	v := decode(&d)
	if d.End() != nil {
		return
	}
	if again := encoded(t, v, size, encode); !bytes.Equal(again, msg) {
		t.Fatalf("%x decoded and encoded is %x", msg, again)
	}
}
