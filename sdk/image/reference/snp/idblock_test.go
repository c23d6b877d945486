package snp_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"slices"
	"testing"

	"github.com/secgear/secgear/sdk/image/reference"
	"github.com/secgear/secgear/sdk/image/reference/snp"
)

// The public halves of the keys in VirTEE's tests (crate sev 8.0.0,
// tests/measurement/test_id_key.pem and test_auth_key.pem); the values in
// TestPublishedIDBlock are those of tests/id-block.rs.
const (
	idKeyPEM = `-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE9nY+TSYJzxss8i8syLjKTPVdRww8I1Us
k7Foh0OQ3ZXLP97oR933n/Ke+7iAPG0fzNeo0Ee5zcHHULEZCr5tHa03qN7LFDJ7
dmYZ9xJgfP0NOIU8UNqbzQgLNTick74+
-----END PUBLIC KEY-----
`
	authorKeyPEM = `-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEYnDHi9aQTNEzYpmiW5hzanHOkv7wdJTX
LLKLBzyDD59WSvelwcb/xaNJc9XaRYaMhjx5MKLJhEinehAIgQLiqV+TCM0+VrVZ
t/06zIizzCoZd0NI/qLyyQMRkeBxh6z1
-----END PUBLIC KEY-----
`
)

func TestPublishedIDBlock(t *testing.T) {
	const (
		launch    = "a14d638341e5674628fe1e02fbedebe5e5ab4faf1dd72d8966068e615bb99efd13d214b35c231715b38e263dc6059745"
		block     = "oU1jg0HlZ0Yo/h4C++3r5eWrT68d1y2JZgaOYVu5nv0T0hSzXCMXFbOOJj3GBZdFAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABAAAAAAAAAAAAAwAAAAAA"
		idKey     = "WfssaG36T+9J84M5qndckAUcKNVzg93DuvO160sUlt87DbvcuuX+J2d6ZEggdz/i"
		authorKey = "7tgRafsMteDsNHlPEo/U4MSkb2fGWhrfqB/LJLzAiMJyNpt//D6ytq9qQoShs2xf"
	)
	var digest reference.Bytes
	if err := digest.UnmarshalText([]byte(launch)); err != nil {
		t.Fatal(err)
	}
	b := snp.IDBlock{Launch: snp.Digest(digest), Policy: 0x30000}
	if got := base64.StdEncoding.EncodeToString(b.Bytes()); got != block {
		t.Errorf("block  %s\nwant   %s", got, block)
	}
	for text, want := range map[string]string{idKeyPEM: idKey, authorKeyPEM: authorKey} {
		got, err := snp.KeyDigest(publicKey(t, text))
		if err != nil || base64.StdEncoding.EncodeToString(got[:]) != want {
			t.Errorf("key digest %x, %v; want %s", got, err, want)
		}
	}
}

func publicKey(t *testing.T, text string) *ecdsa.PublicKey {
	t.Helper()
	b, _ := pem.Decode([]byte(text))
	if b == nil {
		t.Fatal("no PEM")
	}
	key, err := x509.ParsePKIXPublicKey(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*ecdsa.PublicKey)
}

// TestSign looks at the structure as the secure processor does.
func TestSign(t *testing.T) {
	id, author := newKey(t, elliptic.P384()), newKey(t, elliptic.P384())
	b := snp.IDBlock{Launch: snp.Digest{1}, Family: [16]byte{2}, Image: [16]byte{3}, Version: 4, Policy: 5}
	auth, err := b.Sign(id, author)
	if err != nil {
		t.Fatal(err)
	}
	if len(auth) != 4096 || auth[0] != 1 || auth[4] != 1 {
		t.Fatalf("%d bytes, algorithms %d and %d", len(auth), auth[0], auth[4])
	}
	key := auth[576 : 576+1028]
	if !verifies(&id.PublicKey, b.Bytes(), auth[64:]) || !verifies(&author.PublicKey, key, auth[1664:]) {
		t.Error("a signature does not hold")
	}
	for at, public := range map[int]*ecdsa.PublicKey{576: &id.PublicKey, 2176: &author.PublicKey} {
		want, err := snp.KeyDigest(public)
		if err != nil {
			t.Fatal(err)
		}
		if sha512.Sum384(auth[at:at+1028]) != want {
			t.Errorf("another key at %d", at)
		}
	}

	alone, err := b.Sign(id, nil)
	if err != nil || alone[4] != 0 || !bytes.Equal(alone[1664:], make([]byte, 4096-1664)) {
		t.Errorf("without author key: algorithm %d, %v", alone[4], err)
	}
}

// verifies checks a signature as it is stored: two little-endian numbers of 72
// bytes.
func verifies(key *ecdsa.PublicKey, message, signature []byte) bool {
	sum := sha512.Sum384(message)
	return ecdsa.Verify(key, sum[:], number(signature[:72]), number(signature[72:144]))
}

func number(b []byte) *big.Int {
	b = slices.Clone(b)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

func TestSignRefusesOtherKeys(t *testing.T) {
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := newKey(t, elliptic.P384())
	for name, key := range map[string]crypto.Signer{"P-256": newKey(t, elliptic.P256()), "Ed25519": other} {
		if _, err := (snp.IDBlock{}).Sign(key, nil); err == nil {
			t.Errorf("%s signed", name)
		}
		if _, err := (snp.IDBlock{}).Sign(good, key); err == nil {
			t.Errorf("%s signed as author", name)
		}
	}
	if _, err := snp.KeyDigest(&newKey(t, elliptic.P256()).PublicKey); err == nil {
		t.Error("P-256 has a digest")
	}
}

func newKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
