package eif

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/big"
	"reflect"
	"testing"
	"time"
)

func sample() *Image {
	return &Image{
		Arch: "amd64", Memory: 1 << 30, Processors: 2,
		Kernel: []byte("kernel"), CommandLine: "console=ttyS0 quiet", Metadata: []byte("{}"),
		RAMDisks: [][]byte{[]byte("modules"), []byte("program")},
	}
}

// signer returns a key and a certificate of it.
func signer(t testing.TB) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signer"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}

func encode(t testing.TB, i *Image) []byte {
	t.Helper()
	b, err := i.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestEncode: an image is read as it was written, signed or not.
func TestEncode(t *testing.T) {
	signed := sample()
	signed.Arch = "arm64"
	if err := signed.Sign(signer(t)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []*Image{sample(), signed} {
		b := encode(t, want)
		got, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if !bytes.Equal(encode(t, got), b) {
			t.Error("encoded again it differs")
		}
	}
}

// TestLayout holds the written bytes against the format's description, with
// numbers of its own.
func TestLayout(t *testing.T) {
	b := encode(t, sample())
	for _, f := range []struct {
		at   int
		want []byte
	}{
		{0, []byte{'.', 'e', 'i', 'f', 0, 4, 0, 0}},
		{8, []byte{0, 0, 0, 0, 0x40, 0, 0, 0}},
		{16, []byte{0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 5}},
		{28, []byte{0, 0, 0, 0, 0, 0, 2, 36, 0, 0, 0, 0, 0, 0, 2, 54}},
		{284, []byte{0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 19}},
		{548, append([]byte{0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6}, "kernel"...)},
		{566, append([]byte{0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 19}, "console=ttyS0 quiet"...)},
		{597, append([]byte{0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}, "{}"...)},
		{611, append([]byte{0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7}, "modules"...)},
		{630, append([]byte{0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7}, "program"...)},
	} {
		if got := b[f.at:][:len(f.want)]; !bytes.Equal(got, f.want) {
			t.Errorf("at %d: % x, want % x", f.at, got, f.want)
		}
	}
	if len(b) != 649 {
		t.Errorf("%d bytes", len(b))
	}
	if got := binary.BigEndian.Uint32(b[544:]); got != crc32.ChecksumIEEE(append(bytes.Clone(b[:544]), b[548:]...)) {
		t.Error("the checksum is not that of everything else")
	}
}

// TestPCRs: each register holds what AWS says it does, computed in one go.
func TestPCRs(t *testing.T) {
	i := sample()
	key, cert := signer(t)
	if err := i.Sign(key, cert); err != nil {
		t.Fatal(err)
	}
	i.Metadata = []byte(`{"not": "measured"}`)
	got, err := i.PCRs()
	if err != nil {
		t.Fatal(err)
	}
	extended := func(s string) PCR {
		sum := sha512.Sum384([]byte(s))
		return sha512.Sum384(append(make([]byte, 48), sum[:]...))
	}
	want := PCRs{
		0: extended("kernel" + "console=ttyS0 quiet" + "modules" + "program"),
		1: extended("kernel" + "console=ttyS0 quiet" + "modules"),
		2: extended("program"),
		8: extended(string(cert.Raw)),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if one := (&Image{RAMDisks: [][]byte{{}}}); one != nil {
		pcrs, err := one.PCRs()
		// What nitro-cli prints for an empty third measurement.
		const empty = "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a"
		if err != nil || pcrs[2].String() != empty || len(pcrs) != 3 {
			t.Errorf("without an application's RAM disk: %v, %v", pcrs, err)
		}
	}
}

// TestSignature: a signature is good for the image and the certificate it was
// made with, and for nothing else.
func TestSignature(t *testing.T) {
	key, cert := signer(t)
	i := sample()
	if _, err := i.Verify(); !errors.Is(err, ErrUnsigned) {
		t.Errorf("unsigned: %v", err)
	}
	if err := i.Sign(key, cert); err != nil {
		t.Fatal(err)
	}
	if got, err := i.Verify(); err != nil || !got.Equal(cert) {
		t.Errorf("verified: %v, %v", got, err)
	}
	other := *i
	other.CommandLine += " init=/bin/sh"
	if _, err := other.Verify(); !errors.Is(err, ErrSignature) {
		t.Errorf("another command line: %v", err)
	}
	_, foreign := signer(t)
	s, err := parseSignature(i.Signature)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*signature){
		"another certificate": func(s *signature) { s.pem = pemOf(foreign) },
		"two certificates":    func(s *signature) { s.pem = append(bytes.Clone(s.pem), pemOf(foreign)...) },
		"no certificate":      func(s *signature) { s.pem = []byte("none") },
		"no message":          func(s *signature) { s.message = nil },
		"altered":             func(s *signature) { s.message = bytes.Clone(s.message); s.message[len(s.message)-1] ^= 1 },
	} {
		forged, c := *i, *s
		change(&c)
		forged.Signature = c.encode()
		if _, err := forged.Verify(); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := i.Sign(key, foreign); err == nil {
		t.Error("signed with another's certificate")
	}
}

func pemOf(c *x509.Certificate) []byte {
	s := signature{certificate: c}
	return s.certificatePEM()
}

// TestRefused: a file that says anything twice, or something else than it has,
// is refused, with the checksum right.
func TestRefused(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"empty":              func(b []byte) []byte { return nil },
		"magic":              func(b []byte) []byte { b[0] = 'x'; return b },
		"version":            func(b []byte) []byte { b[5] = 3; return b },
		"flags":              func(b []byte) []byte { b[7] = 2; return b },
		"reserved":           func(b []byte) []byte { b[25] = 1; return b },
		"unused":             func(b []byte) []byte { b[543] = 1; return b },
		"too many sections":  func(b []byte) []byte { b[27] = 33; return b },
		"a section more":     func(b []byte) []byte { b[27]++; return b },
		"a section less":     func(b []byte) []byte { b[27]--; return b },
		"no sections":        func(b []byte) []byte { clear(b[26:540]); return b[:548] },
		"place of no use":    func(b []byte) []byte { b[28+8*31] = 1; return b },
		"offset":             func(b []byte) []byte { b[35]++; return b },
		"huge offset":        func(b []byte) []byte { b[28] = 0xff; return b },
		"huge size":          func(b []byte) []byte { b[284] = 0xff; b[552] = 0xff; return b },
		"size":               func(b []byte) []byte { b[291]++; return b },
		"size of section":    func(b []byte) []byte { b[559]++; return b },
		"section flags":      func(b []byte) []byte { b[551] = 1; return b },
		"unknown type":       func(b []byte) []byte { b[549] = 6; return b },
		"two kernels":        func(b []byte) []byte { b[567] = 1; return b },
		"kernel as metadata": func(b []byte) []byte { b[549] = 5; return b },
		"signature early":    func(b []byte) []byte { b[612] = 4; return b },
		"bytes follow":       func(b []byte) []byte { return append(b, 0) },
		"cut":                func(b []byte) []byte { return b[:len(b)-1] },
		"zero in the line":   func(b []byte) []byte { b[580] = 0; return b },
	} {
		b := change(encode(t, sample()))
		if len(b) >= headerSize {
			binary.BigEndian.PutUint32(b[crcOffset:], checksum(b))
		}
		if i, err := Parse(b); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %+v, %v", name, i, err)
		}
	}
	b := encode(t, sample())
	b[600] ^= 1
	if _, err := Parse(b); !errors.Is(err, ErrFormat) {
		t.Errorf("a wrong checksum: %v", err)
	}
}

// TestNotWritten: what can't be read again is not written.
func TestNotWritten(t *testing.T) {
	for name, change := range map[string]func(*Image){
		"architecture":    func(i *Image) { i.Arch = "riscv64" },
		"no kernel":       func(i *Image) { i.Kernel = nil },
		"no RAM disk":     func(i *Image) { i.RAMDisks = nil },
		"many RAM disks":  func(i *Image) { i.RAMDisks = make([][]byte, MaxRAMDisks+1) },
		"line break":      func(i *Image) { i.CommandLine = "a\nb" },
		"long line":       func(i *Image) { i.CommandLine = string(bytes.Repeat([]byte("a"), 2048)) },
		"empty signature": func(i *Image) { i.Signature = []byte{} },
	} {
		i := sample()
		change(i)
		if _, err := i.Encode(); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParse: what is read is written again as it was. The checksum is put right
// first, for the fuzzer to get past it.
func FuzzParse(f *testing.F) {
	f.Add(encode(f, sample()))
	f.Add([]byte(".eif"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= headerSize {
			b = bytes.Clone(b)
			binary.BigEndian.PutUint32(b[crcOffset:], checksum(b))
		}
		i, err := Parse(b)
		if err != nil {
			return
		}
		if again, err := i.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("read, but written again otherwise: %v", err)
		}
		i.PCRs()
		i.Verify()
	})
}

// FuzzSignature: a signature section is refused, or the one that encode makes.
func FuzzSignature(f *testing.F) {
	i := sample()
	if err := i.Sign(signer(f)); err != nil {
		f.Fatal(err)
	}
	f.Add(i.Signature)
	f.Add([]byte{0x81, 0xa2})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSignature(b)
		switch {
		case err != nil && !errors.Is(err, ErrSignature):
			t.Error(err)
		case err == nil && !bytes.Equal(s.encode(), b):
			t.Error("encoded again it differs")
		}
	})
}
