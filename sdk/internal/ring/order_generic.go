//go:build race || !amd64

package ring

import "sync/atomic"

// All words that both sides of a lane use are atomic, and Go's atomic loads and
// stores are sequentially consistent on every architecture: on arm64 they are
// LDAR and STLR, which keep their order among each other, on riscv64 they have
// fences around them. So nothing here relies on the order in which one processor
// family happens to show stores.

// StoreRelease stores v after every store before it.
func StoreRelease(w *atomic.Uint32, v uint32) { w.Store(v) }

// StoreRelease64 is StoreRelease for 64 bits.
func StoreRelease64(w *atomic.Uint64, v uint64) { w.Store(v) }

// Fence orders every atomic store before it ahead of every atomic load after it.
func Fence() {
	var w atomic.Uint32
	w.Add(1)
}

// Spin waits until *a is av or *b is bv, for at most n pauses.
func Spin(a *atomic.Uint32, av uint32, b *atomic.Uint32, bv uint32, n int) {
	for ; n > 0 && a.Load() != av && b.Load() != bv; n-- {
		pause()
	}
}

// pause keeps the processor busy for some tens of nanoseconds without touching
// memory.
//
//go:noinline
func pause() {
	for range 16 {
		nop()
	}
}

//go:noinline
func nop() {}
