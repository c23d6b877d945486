package shm

import (
	"errors"
	"runtime"
	"testing"
	"time"
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

// TestRefuse: a buffer in an answer that can't be used goes back to its owner.
func TestRefuse(t *testing.T) {
	p := newPair(t, Config{})
	b, err := p.enclave.NewBuffer(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := b.give(p.enclave)
	if err != nil {
		t.Fatal(err)
	}
	c, err := start(t.Context(), p.host, echo, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Wait(c.Ticket()); err != nil {
		t.Fatal(err)
	}
	got, err := c.Borrow(ref)
	if err != nil || got.Len() != 100 {
		t.Fatalf("received %d bytes, %v", got.Len(), err)
	}
	c.Refuse()
	c.End()
	if _, err := got.Shared(); !errors.Is(err, ErrReleased) {
		t.Errorf("the refused buffer is still this side's: %v", err)
	}
	for begun := time.Now(); p.enclave.arena.InUse() != 0; runtime.Gosched() {
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("%d bytes of the owner's arena are still in use", p.enclave.arena.InUse())
		}
	}
}
