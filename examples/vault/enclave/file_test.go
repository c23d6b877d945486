package main

import (
	"bytes"
	"errors"
	"testing"

	"github.com/secgear/secgear/examples/vault"
)

// TestBinding: a chunk opens only with the key, the header and the place that it
// was sealed with.
func TestBinding(t *testing.T) {
	var key, otherKey [keySize]byte
	otherKey[keySize-1] = 1
	var header, otherHeader vault.Header
	otherHeader[vault.HeaderSize-1] = 1
	first, second, last := vault.Chunk{}, vault.Chunk{Index: 1}, vault.Chunk{Last: true}
	content := make([]byte, vault.ChunkSize)
	tests := []struct {
		name   string
		key    [keySize]byte
		header vault.Header
		at     vault.Chunk
		opens  bool
	}{
		{"the same", key, header, first, true},
		{"other key", otherKey, header, first, false},
		{"other header", key, otherHeader, first, false},
		{"other index", key, header, second, false},
		{"as the last", key, header, last, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sealed := sealWith(t, key, header, first, bytes.Clone(content))
			f, err := newFile(opening, tt.key[:], tt.header)
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.open(tt.at, sealed)
			if tt.opens && (err != nil || !bytes.Equal(got, content)) {
				t.Errorf("it does not open: %v", err)
			}
			if !tt.opens && (!errors.Is(err, vault.ErrTampered) || got != nil) {
				t.Errorf("error %v, want %v", err, vault.ErrTampered)
			}
		})
	}
}

func sealWith(t *testing.T, key [keySize]byte, header vault.Header, at vault.Chunk, content []byte) []byte {
	t.Helper()
	f, err := newFile(sealing, key[:], header)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := f.seal(at, content)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}
