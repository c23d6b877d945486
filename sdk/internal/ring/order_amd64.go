//go:build !race

package ring

import (
	"sync/atomic"
	"unsafe"
)

func fence()

//go:noescape
func spin(a *uint32, av uint32, b *uint32, bv uint32, n uint32)

// StoreRelease stores v after every store before it. Unlike an atomic store it
// does not wait until the other core has seen it. This processor keeps stores in
// order, and the compiler keeps those to memory that escapes.
func StoreRelease(w *atomic.Uint32, v uint32) { *(*uint32)(unsafe.Pointer(w)) = v }

// StoreRelease64 is StoreRelease for 64 bits.
func StoreRelease64(w *atomic.Uint64, v uint64) { *(*uint64)(unsafe.Pointer(w)) = v }

// Fence orders every store before it ahead of every load after it.
func Fence() { fence() }

// Spin waits until *a is av or *b is bv, for at most n pauses (tens of
// nanoseconds each).
//
//go:noinline
func Spin(a *atomic.Uint32, av uint32, b *atomic.Uint32, bv uint32, n int) {
	if n > 0 {
		spin((*uint32)(unsafe.Pointer(a)), av, (*uint32)(unsafe.Pointer(b)), bv, uint32(n))
	}
}
