package ring

import (
	"slices"
	"sync"
)

// Arena allocates ranges of one side's arena. Its bookkeeping is private: the
// other side can write into the ranges but can't change which are free. Safe
// for concurrent use.
type Arena struct {
	mu   sync.Mutex
	size int
	free []extent // sorted, never adjacent
	used map[uint64]int
	now  int // bytes allocated
	most int // ever, at a time
}

type extent struct{ off, n int }

// grain is the unit of allocation: a line, so that ranges don't share one.
const grain = Line

// Init makes a ready, all of size bytes free.
func (a *Arena) Init(size int) {
	a.size = size
	a.free = []extent{{0, size}}
	a.used = make(map[uint64]int)
}

// Alloc returns the offset of n free bytes, lowest first.
func (a *Arena) Alloc(n int) (off uint64, ok bool) {
	if n < 0 || n > a.size {
		return 0, false
	}
	n = max((n+grain-1)&^(grain-1), grain)
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.free {
		f := &a.free[i]
		if f.n < n {
			continue
		}
		off = uint64(f.off)
		f.off, f.n = f.off+n, f.n-n
		if f.n == 0 {
			a.free = slices.Delete(a.free, i, i+1)
		}
		a.used[off] = n
		a.now += n
		a.most = max(a.most, a.now)
		return off, true
	}
	return 0, false
}

// Free gives back the range that Alloc returned as off; any other offset is
// refused.
func (a *Arena) Free(off uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, ok := a.used[off]
	if !ok {
		return false
	}
	delete(a.used, off)
	a.now -= n
	start := int(off)
	i, _ := slices.BinarySearchFunc(a.free, start, func(e extent, off int) int { return e.off - off })
	joinsLeft := i > 0 && a.free[i-1].off+a.free[i-1].n == start
	joinsRight := i < len(a.free) && start+n == a.free[i].off
	switch {
	case joinsLeft && joinsRight:
		a.free[i-1].n += n + a.free[i].n
		a.free = slices.Delete(a.free, i, i+1)
	case joinsLeft:
		a.free[i-1].n += n
	case joinsRight:
		a.free[i] = extent{start, n + a.free[i].n}
	default:
		a.free = slices.Insert(a.free, i, extent{start, n})
	}
	return true
}

// Use returns how many bytes are allocated, and were at a time at most.
func (a *Arena) Use() (now, most int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now, a.most
}

// InUse is the number of bytes allocated.
func (a *Arena) InUse() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	total := a.size
	for _, f := range a.free {
		total -= f.n
	}
	return total
}
