package cose

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"
)

func newKey(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestSign: what a key signed is verified by it, and nothing else.
func TestSign(t *testing.T) {
	key, other := newKey(t, elliptic.P384()), newKey(t, elliptic.P384())
	s, err := Sign([]byte("payload"), key)
	if err != nil {
		t.Fatal(err)
	}
	b := s.Encode()
	back, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back.Encode(), b) {
		t.Error("encoded again it differs")
	}
	if err := back.Verify(&key.PublicKey); err != nil {
		t.Error(err)
	}
	changed := func(change func(*Sign1)) *Sign1 {
		c := *back
		c.Signature = bytes.Clone(back.Signature)
		change(&c)
		return &c
	}
	for name, tt := range map[string]struct {
		s   *Sign1
		key any
	}{
		"another key":       {back, &other.PublicKey},
		"another curve":     {back, &newKey(t, elliptic.P256()).PublicKey},
		"no key":            {back, nil},
		"another payload":   {changed(func(s *Sign1) { s.Payload = []byte("other") }), &key.PublicKey},
		"another signature": {changed(func(s *Sign1) { s.Signature[0] ^= 1 }), &key.PublicKey},
		"short signature":   {changed(func(s *Sign1) { s.Signature = s.Signature[1:] }), &key.PublicKey},
		"zero signature":    {changed(func(s *Sign1) { clear(s.Signature) }), &key.PublicKey},
		"another algorithm": {changed(func(s *Sign1) { s.Algorithm = -7 }), &key.PublicKey},
	} {
		if err := tt.s.Verify(tt.key); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Sign(nil, newKey(t, elliptic.P256())); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("signed with P-256: %v", err)
	}
}

// FuzzParse: what is taken is encoded again as it was.
func FuzzParse(f *testing.F) {
	f.Add((&Sign1{Algorithm: ES384, Payload: []byte{1}, Signature: make([]byte, 96)}).Encode())
	f.Add((&Sign1{Algorithm: -1, Signature: make([]byte, 64)}).Encode())
	f.Add([]byte{0x84, 0x40, 0xa0, 0x40, 0x40})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err == nil && !bytes.Equal(s.Encode(), b) {
			t.Errorf("%x is encoded again as %x", b, s.Encode())
		}
	})
}
