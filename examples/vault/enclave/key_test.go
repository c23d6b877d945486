package main

import (
	"bytes"
	"errors"
	"testing"

	"github.com/secgear/secgear/examples/vault"
)

// TestTemporary: a key sealed without the TEE's help is opened by the enclave that
// sealed it only, and not after any change.
func TestTemporary(t *testing.T) {
	var here, other temporary
	key := bytes.Repeat([]byte{7}, keySize)
	header, err := here.seal(key)
	if err != nil || string(header[:8]) != vault.TemporaryMagic {
		t.Fatalf("%q, %v", header, err)
	}
	if got, err := here.open(header); err != nil || !bytes.Equal(got, key) {
		t.Errorf("%x, %v", got, err)
	}
	if _, err := other.open(header); !errors.Is(err, vault.ErrHeader) {
		t.Errorf("another enclave: %v", err)
	}
	for i := len(vault.TemporaryMagic); i < len(header); i++ {
		changed := header
		changed[i] ^= 1
		if _, err := here.open(changed); !errors.Is(err, vault.ErrHeader) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	if again, _ := here.seal(key); again == header {
		t.Error("two headers are the same")
	}
}
