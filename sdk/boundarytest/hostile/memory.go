package hostile

import (
	"bytes"
	"fmt"

	"github.com/secgear/secgear/sdk/internal/ring"
)

// Guarded is memory for the region of a lane that betrays accesses beside it:
// by a fault where the system has memory protection for it, by [Guarded.Check]
// elsewhere.
type Guarded struct {
	// Mem is zeroed and aligned to a page.
	Mem []byte

	free    func() error
	canary  []byte // around Mem; nil where protection takes its place
	pattern []byte
}

// guard is how much of the memory on either side of a region is watched.
const guard = 4096

// Memory returns size bytes, a multiple of the size of a page. They stay until
// Free.
func Memory(size int) (*Guarded, error) {
	if g, err := protected(size); g != nil || err != nil {
		return g, err
	}
	all := ring.Alloc(size + 2*guard)
	g := &Guarded{Mem: all[guard : guard+size : guard+size], canary: all, pattern: bytes.Repeat([]byte{0xc5}, guard)}
	copy(all, g.pattern)
	copy(all[guard+size:], g.pattern)
	return g, nil
}

// Check returns an error if something was written right beside Mem.
func (g *Guarded) Check() error {
	if g.canary == nil {
		return nil // it would have been a fault
	}
	if !bytes.Equal(g.canary[:guard], g.pattern) || !bytes.Equal(g.canary[len(g.canary)-guard:], g.pattern) {
		return fmt.Errorf("a write beside a region of %d bytes", len(g.Mem))
	}
	return nil
}

// Free gives the memory back. Nothing may refer to it any more.
func (g *Guarded) Free() error {
	if g.free == nil {
		return nil
	}
	return g.free()
}
