package sigstruct

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"strings"
	"testing"
)

// published is a SIGSTRUCT made by another implementation: that of the tests in
// lexe-app/lexe-public, sgxs-sign.
func published(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/published.hex")
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// testKey is made for these tests.
func testKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile("testdata/key.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var body = Body{
	Vendor: 1, Date: 0x20260131, SWDefined: 2, MiscSelect: 3, MiscMask: 4, CET: 5, CETMask: 6, FamilyID: [16]byte{7},
	Attributes: Attributes{FlagMode64, 3}, AttributeMask: Attributes{^uint64(FlagDebug), ^uint64(0)},
	MRENCLAVE: [32]byte{8, 31: 9}, ExtProdID: [16]byte{10}, ProdID: 11, SVN: 12,
}

func TestPublished(t *testing.T) {
	b := published(t)
	s, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(); err != nil {
		t.Error(err)
	}
	want := Body{
		Date: 0x20240304, Attributes: Attributes{FlagMode64, 0xe7}, AttributeMask: Attributes{7, 0xe7},
		MRENCLAVE: [32]byte(bytes.Repeat([]byte{0x69}, 32)),
	}
	if s.Body != want {
		t.Errorf("%+v, want %+v", s.Body, want)
	}
	if s.MRSIGNER() != sha256.Sum256(b[128:512]) {
		t.Errorf("MRSIGNER %x", s.MRSIGNER())
	}

	// Made anew from its parts, Q1 and Q2 come out as they did elsewhere.
	again, err := WithSignature(want, s.Key(), reversed(s.Signature))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Encode(), b) {
		t.Errorf("made anew: %x", again.Encode())
	}
}

func TestSign(t *testing.T) {
	key := testKey(t)
	s, err := Sign(body, key)
	if err != nil {
		t.Fatal(err)
	}
	b := s.Encode()
	got, err := Parse(b)
	if err != nil || *got != *s {
		t.Fatalf("%v", err)
	}
	if err := got.Verify(); err != nil {
		t.Error(err)
	}
	// The definitions of Q1 and Q2, with the divisions left to the test.
	sig, m := number(s.Signature), key.N
	q1, q2 := number(s.Q1), number(s.Q2)
	rest := new(big.Int).Mul(sig, new(big.Int).Sub(new(big.Int).Mul(sig, sig), new(big.Int).Mul(q1, m)))
	for name, pair := range map[string][2]*big.Int{"Q1": {new(big.Int).Mul(sig, sig), q1}, "Q2": {rest, q2}} {
		left := new(big.Int).Sub(pair[0], new(big.Int).Mul(pair[1], m))
		if left.Sign() < 0 || left.Cmp(m) >= 0 {
			t.Errorf("%s is not the quotient", name)
		}
	}
}

func TestKeys(t *testing.T) {
	for name, tt := range map[string]struct {
		key  func() (*Sigstruct, error)
		want string
	}{
		"exponent 65537": {func() (*Sigstruct, error) {
			k, err := rsa.GenerateKey(rand.Reader, 3072)
			if err != nil {
				t.Fatal(err)
			}
			return Sign(body, k)
		}, "exponent 65537"},
		"short key": {func() (*Sigstruct, error) {
			return WithSignature(body, &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 3}, make([]byte, 384))
		}, "2048 bits"},
		"another algorithm": {func() (*Sigstruct, error) {
			k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			return Sign(body, k)
		}, "RSA only"},
		"another's signature": {func() (*Sigstruct, error) {
			return WithSignature(body, &testKey(t).PublicKey, bytes.Repeat([]byte{1}, 384))
		}, "does not hold"},
		"short signature": {func() (*Sigstruct, error) {
			return WithSignature(body, &testKey(t).PublicKey, []byte{1})
		}, "1 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := tt.key(); s != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// TestAltered: of a signed structure, no byte can be another one.
func TestAltered(t *testing.T) {
	good := published(t)
	for at := range good {
		if at > 160 && at < 880 && at%37 != 0 || at > 1060 && at%37 != 0 { // the long numbers: some bytes
			continue
		}
		b := bytes.Clone(good)
		b[at] ^= 0x40
		s, err := Parse(b)
		if err == nil {
			if err = s.Verify(); !errors.Is(err, ErrSignature) {
				t.Errorf("offset %d: verified: %v", at, err)
			}
		} else if !errors.Is(err, ErrFormat) {
			t.Errorf("offset %d: %v", at, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(published(f))
	f.Add(published(f)[:Size-1])
	f.Add(make([]byte, Size))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Error(err)
			}
			return
		}
		if !bytes.Equal(s.Encode(), b) {
			t.Error("encoded otherwise")
		}
		if err := s.Verify(); err != nil && !errors.Is(err, ErrSignature) {
			t.Error(err)
		}
	})
}
