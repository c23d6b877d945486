package cbor

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
)

// TestNumbers: examples of RFC 8949, appendix A.
func TestNumbers(t *testing.T) {
	for want, n := range map[string]int64{
		"00": 0, "17": 23, "1818": 24, "18ff": 255, "190100": 256, "1903e8": 1000, "1a000f4240": 1000000,
		"1b000000e8d4a51000": 1000000000000, "20": -1, "29": -10, "3863": -100, "3903e7": -1000,
		"1b7fffffffffffffff": math.MaxInt64, "3b7fffffffffffffff": math.MinInt64,
	} {
		got := AppendInt(nil, n)
		if hex.EncodeToString(got) != want {
			t.Errorf("%d is %x, want %s", n, got, want)
		}
		r := NewReader(got)
		if back := r.Int(); back != n || r.End() != nil {
			t.Errorf("%s reads %d, %v", want, back, r.Err())
		}
	}
}

// TestAll: what is written is read again.
func TestAll(t *testing.T) {
	b := AppendMap(nil, 2)
	b = AppendText(b, "list")
	b = AppendArray(b, 5)
	b = AppendUint(b, math.MaxUint64)
	b = AppendBytes(b, []byte{1, 2})
	b = AppendBool(b, true)
	b = AppendBool(b, false)
	b = AppendNull(b)
	b = AppendText(b, "end")
	b = AppendInt(b, -7)
	r := NewReader(b)
	if n := r.Map(); n != 2 {
		t.Errorf("map of %d", n)
	}
	if s := r.Text(); s != "list" {
		t.Errorf("text %q", s)
	}
	if n := r.Array(); n != 5 {
		t.Errorf("array of %d", n)
	}
	if n := r.Uint(); n != math.MaxUint64 {
		t.Errorf("number %d", n)
	}
	if s := r.Bytes(); !bytes.Equal(s, []byte{1, 2}) {
		t.Errorf("bytes %x", s)
	}
	if a, b := r.Bool(), r.Bool(); !a || b {
		t.Errorf("truth values %v, %v", a, b)
	}
	if r.Null() != true || r.Null() != false || !r.IsText() {
		t.Error("null")
	}
	if s, n := r.Text(), r.Int(); s != "end" || n != -7 {
		t.Errorf("%q, %d", s, n)
	}
	if err := r.End(); err != nil {
		t.Error(err)
	}
	r = NewReader(b)
	if r.Skip(); r.End() != nil {
		t.Errorf("skipped: %v", r.Err())
	}
}

// TestRefused: each is an error, whichever item is asked for.
func TestRefused(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":              "",
		"number cut":           "19ff",
		"number not shortest":  "1817",
		"two bytes for one":    "1900ff",
		"four bytes for two":   "1a0000ffff",
		"eight for four":       "1b00000000ffffffff",
		"reserved information": "1c",
		"indefinite bytes":     "5f4101ff",
		"indefinite array":     "9fff",
		"indefinite map":       "bfff",
		"break":                "ff",
		"bytes cut":            "420a",
		"text cut":             "620a",
		"bytes of 2^64-1":      "5bffffffffffffffff",
		"array of 2^64-1":      "9bffffffffffffffff",
		"map of 2^63":          "bb8000000000000000",
		"float":                "fa47c35000",
		"undefined":            "f7",
		"deep":                 strings.Repeat("81", 100) + "00",
		"something after":      "f6f6",
	} {
		b, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		for what, read := range map[string]func(*Reader){
			"skip": (*Reader).Skip, "uint": func(r *Reader) { r.Uint() }, "int": func(r *Reader) { r.Int() },
			"bytes": func(r *Reader) { r.Bytes() }, "text": func(r *Reader) { r.Text() },
			"array": func(r *Reader) { r.Array() }, "map": func(r *Reader) { r.Map() }, "bool": func(r *Reader) { r.Bool() },
		} {
			r := NewReader(b)
			if read(r); r.End() == nil || !errors.Is(r.Err(), ErrFormat) {
				t.Errorf("%s, read as %s: %v", name, what, r.Err())
			}
		}
	}
	r := NewReader([]byte{0x61, 0xff})
	if r.Text(); r.End() == nil {
		t.Error("text that is not UTF-8")
	}
	r = NewReader([]byte{0x3b, 0x80, 0, 0, 0, 0, 0, 0, 0})
	if r.Int(); r.End() == nil {
		t.Error("a negative number of 65 bits")
	}
}

// FuzzSkip: any input is either refused or one item, and no read goes wrong.
func FuzzSkip(f *testing.F) {
	f.Add([]byte{0xa1, 0x61, 'a', 0x82, 0x18, 24, 0xf6})
	f.Add([]byte{0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add(bytes.Repeat([]byte{0xc1}, 40))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(in)
		r.Skip()
		if r.End() != nil && !errors.Is(r.Err(), ErrFormat) {
			t.Error(r.Err())
		}
		r = NewReader(in)
		for i := 0; r.Left() > 0; i++ {
			before := r.Left()
			switch i % 5 {
			case 0:
				if r.Null(); r.Left() == before {
					continue
				}
			case 1:
				if n := r.Map(); n > before {
					t.Errorf("%d pairs in %d bytes", n, before)
				}
			case 2:
				r.Text()
			case 3:
				r.Bytes()
			case 4:
				r.Int()
			}
			if r.Left() >= before {
				t.Fatal("it reads on without progress")
			}
		}
	})
}
