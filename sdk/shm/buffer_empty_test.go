package shm

import (
	"errors"
	"testing"
)

// TestEmptySlice: an empty slice of a buffer crosses as an empty buffer. Once,
// the other side took its reference for one outside the arena.
func TestEmptySlice(t *testing.T) {
	p := newPair(t, Config{})
	if _, err := p.host.NewBuffer(t.Context(), 100); err != nil { // offset 0
		t.Fatal(err)
	}
	b, err := p.host.NewBuffer(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	empty, err := b.Slice(10, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("lent", func(t *testing.T) {
		ref, err := empty.lend(p.host)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.enclave.borrow(ref); err != nil || got.Len() != 0 {
			t.Errorf("the other side got %d bytes, %v", got.Len(), err)
		}
		if _, err := b.Shared(); !errors.Is(err, ErrLent) {
			t.Errorf("the buffer is not lent: %v", err)
		}
		b.h.comeBack()
	})
	t.Run("given", func(t *testing.T) {
		before := p.host.arena.InUse()
		ref, err := empty.give(p.host)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.enclave.received(ref); err != nil || got.Len() != 0 {
			t.Errorf("the other side got %d bytes, %v", got.Len(), err)
		}
		if after := p.host.arena.InUse(); after != before-128 {
			t.Errorf("%d bytes are in use, before %d", after, before)
		}
		if err := b.Free(); !errors.Is(err, ErrReleased) {
			t.Errorf("it was freed twice: %v", err)
		}
	})
}
