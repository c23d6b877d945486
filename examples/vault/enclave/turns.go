package main

import "math/bits"

// turns remembers which chunks of a file were there, with little memory however
// long the file is: all before next, and those whose bit is set after it. The
// zero turns is ready to use.
type turns struct {
	next  uint64 // the first one missing
	ahead uint64 // bit i: chunk next+i was there
	count uint64 // of all chunks, once the last one was there; 0 before
}

// window is how far ahead of the first one missing a chunk may be.
const window = 64

// take notes that a chunk is there. It refuses one that was there before, is too
// far ahead, or does not agree with where the file ends.
func (t *turns) take(index uint64, last bool) bool {
	if index < t.next || index-t.next >= window {
		return false
	}
	bit := uint64(1) << (index - t.next)
	beyond := t.ahead > bit // a later one was there
	switch {
	case t.ahead&bit != 0,
		last && (t.count != 0 || beyond),
		!last && t.count != 0 && index >= t.count-1:
		return false
	}
	if last {
		t.count = index + 1
	}
	t.ahead |= bit
	missing := bits.TrailingZeros64(^t.ahead)
	t.ahead >>= missing
	t.next += uint64(missing)
	return true
}

// total returns the number of chunks, if the last one was there.
func (t *turns) total() (uint64, bool) { return t.count, t.count != 0 }
