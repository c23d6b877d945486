package main

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/secgear/secgear/examples/vault"
)

// sealedChunk is the length of a full chunk in a sealed file.
const sealedChunk = vault.ChunkSize + vault.Overhead

// TestTampered: whatever is done to a sealed file, it does not open as anything
// but what was sealed.
func TestTampered(t *testing.T) {
	c := start(t)
	sealed := func(content []byte) []byte {
		t.Helper()
		b, err := c.seal(t.Context(), c.detours.SealCopy, content)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	content := random(3*vault.ChunkSize + 100)
	good, twin, whole := sealed(content), sealed(content), sealed(content[:3*vault.ChunkSize])

	// chunk returns the bytes of chunk i of a sealed file.
	chunk := func(b []byte, i int) []byte {
		b = b[vault.HeaderSize+i*sealedChunk:]
		return b[:min(len(b), sealedChunk)]
	}
	flip := func(i int) func([]byte) []byte {
		return func(b []byte) []byte { b[i] ^= 0x10; return b }
	}
	tests := []struct {
		name   string
		change func([]byte) []byte
		want   error
	}{
		{"magic", flip(0), vault.ErrHeader},
		{"version of the format", flip(7), vault.ErrHeader},
		{"policy", flip(8 + 8), vault.ErrHeader},
		{"security version", flip(8 + 12), vault.ErrHeader},
		{"salt", flip(8 + 16), vault.ErrHeader},
		{"sealed key", flip(8 + 48), vault.ErrHeader},
		{"last byte of the header", flip(vault.HeaderSize - 1), vault.ErrHeader},
		{"header of another file", func(b []byte) []byte { copy(b, twin[:vault.HeaderSize]); return b }, vault.ErrTampered},
		{"first bit", flip(vault.HeaderSize), vault.ErrTampered},
		{"bit within", flip(vault.HeaderSize + sealedChunk + 1000), vault.ErrTampered},
		{"bit of a tag", flip(vault.HeaderSize + sealedChunk - 1), vault.ErrTampered},
		{"last bit", flip(len(good) - 1), vault.ErrTampered},
		{"chunks swapped", func(b []byte) []byte {
			copy(chunk(b, 0), chunk(good, 1))
			copy(chunk(b, 1), chunk(good, 0))
			return b
		}, vault.ErrTampered},
		{"chunk repeated", func(b []byte) []byte { copy(chunk(b, 1), chunk(good, 0)); return b }, vault.ErrTampered},
		{"first chunk dropped", func(b []byte) []byte {
			return slices.Delete(b, vault.HeaderSize, vault.HeaderSize+sealedChunk)
		}, vault.ErrTampered},
		{"chunk within dropped", func(b []byte) []byte {
			return slices.Delete(b, vault.HeaderSize+sealedChunk, vault.HeaderSize+2*sealedChunk)
		}, vault.ErrTampered},
		{"last chunk dropped", func(b []byte) []byte { return b[:vault.HeaderSize+3*sealedChunk] }, vault.ErrTampered},
		{"all chunks dropped", func(b []byte) []byte { return b[:vault.HeaderSize] }, vault.ErrSize},
		{"cut within the last chunk", func(b []byte) []byte { return b[:len(b)-1] }, vault.ErrTampered},
		{"cut within a tag", func(b []byte) []byte { return b[:vault.HeaderSize+3*sealedChunk+vault.Overhead-1] }, vault.ErrSize},
		{"last chunk emptied", func(b []byte) []byte { return b[:vault.HeaderSize+3*sealedChunk+vault.Overhead] }, vault.ErrSize},
		{"something appended", func(b []byte) []byte { return append(b, 0) }, vault.ErrTampered},
		{"chunk appended", func(b []byte) []byte { return append(slices.Clone(whole), chunk(good, 3)...) }, vault.ErrTampered},
		{"chunk of another file", func(b []byte) []byte { copy(chunk(b, 1), chunk(twin, 1)); return b }, vault.ErrTampered},
		{"last chunk of another file", func(b []byte) []byte { copy(chunk(b, 3), chunk(twin, 3)); return b }, vault.ErrTampered},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			changed := tt.change(slices.Clone(good))
			if bytes.Equal(changed, good) {
				t.Fatal("nothing was changed")
			}
			for name, open := range map[string]worker{"shared": c.openShared, "copied": c.detours.UnsealCopy} {
				got, err := c.open(t.Context(), open, changed)
				if !errors.Is(err, tt.want) {
					t.Errorf("%s: error %v, want %v", name, err, tt.want)
				}
				if got != nil {
					t.Errorf("%s: %d bytes were given out as the file", name, len(got))
				}
			}
		})
	}
}

// TestTamperedSilent: a chunk that does not open leaves the shared memory for
// its content alone.
func TestTamperedSilent(t *testing.T) {
	c := start(t)
	sealed, err := c.seal(t.Context(), c.detours.SealCopy, random(1000))
	if err != nil {
		t.Fatal(err)
	}
	number, err := c.Open(t.Context(), vault.Header(sealed))
	if err != nil {
		t.Fatal(err)
	}
	body := sealed[vault.HeaderSize:]
	body[len(body)-1]++
	before := bytes.Repeat([]byte{0xa5}, 1000)
	from, to := c.buffer(t, body), c.buffer(t, before)
	err = c.Unseal(t.Context(), vault.Chunk{File: number, Last: true}, from, to)
	if !errors.Is(err, vault.ErrTampered) {
		t.Errorf("error %v, want %v", err, vault.ErrTampered)
	}
	after := make([]byte, to.Len())
	if _, err := to.ReadAt(after, 0); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the memory for the content was changed (%v)", err)
	}
}
