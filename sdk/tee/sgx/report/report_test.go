package report

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// sample is a quote whose report has a number in every field.
func sample() []byte {
	q := make([]byte, quoteHeader+Size+100)
	q[0] = 3
	b := q[quoteHeader:]
	for _, at := range []int{0, 16, 32, 48, 56, 64, 128, 192, 256, 258, 260, 304, 320} {
		b[at] = byte(at%250 + 1)
	}
	return q
}

func TestSample(t *testing.T) {
	r, err := FromQuote(sample())
	if err != nil {
		t.Fatal(err)
	}
	want := Report{
		CPUSVN: [16]byte{1}, MiscSelect: 17, ExtProdID: [16]byte{33}, Flags: 49, XFRM: 57,
		MRENCLAVE: [32]byte{65}, MRSIGNER: [32]byte{129}, ConfigID: [64]byte{193},
		ProdID: 7, SVN: 9, ConfigSVN: 11, FamilyID: [16]byte{55}, Data: [64]byte{71},
	}
	if *r != want {
		t.Errorf("%+v, want %+v", *r, want)
	}
	if r.Debug() || !(&Report{Flags: 2}).Debug() {
		t.Error("debug is wrong")
	}
}

// TestRecorded reads a quote of a real machine: sample/sgx_quote of
// Phala-Network/dcap-qvl.
func TestRecorded(t *testing.T) {
	dir := os.Getenv("SECGEAR_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "..", "shared", "vectors")
	}
	q, err := os.ReadFile(filepath.Join(dir, "sgx", "sgx_quote"))
	if err != nil {
		t.Skipf("a recorded quote is missing: %v", err)
	}
	r, err := FromQuote(q)
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]string{
		"MRENCLAVE": {hex.EncodeToString(r.MRENCLAVE[:]), "33d8736db756ed4997e04ba358d27833188f1932ff7b1d156904d3f560452fbb"},
		"MRSIGNER":  {hex.EncodeToString(r.MRSIGNER[:]), "815f42f11cf64430c30bab7816ba596a1da0130c3b028b673133a66cf9a3e0e6"},
		"data":      {string(bytes.TrimRight(r.Data[:], "\x00")), "Hello, world!"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s %s, want %s", name, pair[0], pair[1])
		}
	}
	if r.Debug() || r.Flags != 5 || r.XFRM != 0xe7 {
		t.Errorf("attributes %#x, %#x", r.Flags, r.XFRM)
	}
}

func TestMalformed(t *testing.T) {
	reserved := sample()
	reserved[quoteHeader+100] = 1
	old := sample()
	old[0] = 2
	for name, q := range map[string][]byte{
		"nothing": nil, "cut": sample()[:quoteHeader+Size-1], "huge": make([]byte, MaxQuote+1),
		"another version": old, "reserved": reserved,
	} {
		if _, err := FromQuote(q); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Parse(make([]byte, Size+1)); !errors.Is(err, ErrFormat) {
		t.Errorf("long: %v", err)
	}
}

func FuzzFromQuote(f *testing.F) {
	f.Add(sample())
	f.Add(sample()[:100])
	f.Fuzz(func(t *testing.T, q []byte) {
		r, err := FromQuote(q)
		if err != nil && !errors.Is(err, ErrFormat) || err == nil && r == nil {
			t.Errorf("%v, %v", r, err)
		}
	})
}
