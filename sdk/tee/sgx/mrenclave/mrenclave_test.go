package mrenclave

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

func page(f func(i int) byte) []byte {
	b := make([]byte, PageSize)
	for i := range b {
		b[i] = f(i)
	}
	return b
}

// TestBuilder compares with what a program in Python, written from the manual
// alone, computed of the same pages.
func TestBuilder(t *testing.T) {
	b, err := New(0x10000, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		offset   uint64
		flags    Flags
		page     []byte
		measured bool
	}{
		{0, TCS, page(func(i int) byte { return byte(i) }), true},
		{0x1000, Regular | Read | Execute, bytes.Repeat([]byte{0x90}, PageSize), true},
		{0x8000, Regular | Read | Write, make([]byte, PageSize), false},
	} {
		if err := b.Add(p.offset, p.flags, p.page, p.measured); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := b.Sum()
	const want = "c41de512f2ebff6745d77b61c3432fc466b10007f9196cf997bcc4f69e0deac1"
	if err != nil || hex.EncodeToString(sum[:]) != want {
		t.Errorf("%x, %v; want %s", sum, err, want)
	}
}

// TestECreate spells the bytes out that the manual has hashed for an enclave
// without pages.
func TestECreate(t *testing.T) {
	b, err := New(0x2000, 4)
	if err != nil {
		t.Fatal(err)
	}
	block := []byte("ECREATE\x00" + "\x04\x00\x00\x00" + "\x00\x20\x00\x00\x00\x00\x00\x00" + strings.Repeat("\x00", 44))
	if sum, err := b.Sum(); err != nil || sum != sha256.Sum256(block) {
		t.Errorf("%x, %v", sum, err)
	}
}

func TestRefused(t *testing.T) {
	for _, size := range []uint64{0, PageSize, 3 * PageSize, 1 << 57, ^uint64(0)} {
		if _, err := New(size, 1); err == nil {
			t.Errorf("size %#x was taken", size)
		}
	}
	if _, err := New(2*PageSize, 0); err == nil {
		t.Error("no SSA pages were taken")
	}
	whole := make([]byte, PageSize)
	for name, add := range map[string]func(*Builder) error{
		"short page":           func(b *Builder) error { return b.Add(0, Regular, whole[1:], true) },
		"between pages":        func(b *Builder) error { return b.Add(1, Regular, whole, true) },
		"outside":              func(b *Builder) error { return b.Add(0x2000, Regular, whole, true) },
		"far outside":          func(b *Builder) error { return b.Add(^uint64(PageSize-1), Regular, whole, true) },
		"no type":              func(b *Builder) error { return b.Add(0, Read, whole, true) },
		"two types":            func(b *Builder) error { return b.Add(0, TCS|Regular, whole, true) },
		"TCS with permissions": func(b *Builder) error { return b.Add(0, TCS|Read, whole, true) },
		"write without read":   func(b *Builder) error { return b.Add(0, Regular|Write, whole, true) },
		"unknown flag":         func(b *Builder) error { return b.Add(0, Regular|1<<40, whole, true) },
		"twice": func(b *Builder) error {
			b.Add(0, Regular, whole, true)
			return b.Add(0, Regular, whole, true)
		},
	} {
		b, err := New(0x2000, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := add(b); err == nil {
			t.Errorf("%s was taken", name)
		}
		if _, err := b.Sum(); err == nil {
			t.Errorf("%s: there is a measurement all the same", name)
		}
		if err := b.Add(0x1000, Regular, whole, true); err == nil {
			t.Errorf("%s: building goes on", name)
		}
	}
}

// TestEverythingCounts: what differs is measured differently.
func TestEverythingCounts(t *testing.T) {
	measure := func(size uint64, ssa uint32, offset uint64, flags Flags, content byte, measured bool) [sha256.Size]byte {
		b, err := New(size, ssa)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Add(offset, flags, bytes.Repeat([]byte{content}, PageSize), measured); err != nil {
			t.Fatal(err)
		}
		sum, err := b.Sum()
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	seen := map[[sha256.Size]byte]bool{}
	for _, sum := range [][sha256.Size]byte{
		measure(0x4000, 1, 0, Regular, 0, true), measure(0x8000, 1, 0, Regular, 0, true), measure(0x4000, 2, 0, Regular, 0, true),
		measure(0x4000, 1, 0x1000, Regular, 0, true), measure(0x4000, 1, 0, Regular|Read, 0, true),
		measure(0x4000, 1, 0, Regular, 1, true), measure(0x4000, 1, 0, Regular, 0, false),
	} {
		if seen[sum] {
			t.Errorf("%x twice", sum)
		}
		seen[sum] = true
	}
	if measure(0x4000, 1, 0, Regular, 1, false) != measure(0x4000, 1, 0, Regular, 2, false) {
		t.Error("what is not measured was")
	}
}
