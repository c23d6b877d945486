package shm

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// Budget bounds the private memory that several lanes use together, for their
// own keeping and for messages of the other sides'. No lane gets more than what
// is left for the others, so that one which takes all it can leaves as much: two
// such lanes have a third each.
type Budget struct {
	left atomic.Int64
}

// laneMemory is what a lane uses before the first call, about.
const laneMemory = 128 << 10

// NewBudget returns a budget of n bytes.
func NewBudget(n int64) *Budget {
	b := new(Budget)
	b.left.Store(n)
	return b
}

// Left is the number of bytes that are not in use.
func (b *Budget) Left() int64 { return b.left.Load() }

// allotment is what one lane uses of its budget.
type allotment struct {
	budget *Budget // nil: there is no bound

	mu    sync.Mutex
	used  int64
	ended bool
}

// take takes n bytes or returns [ErrNoMemory].
func (a *allotment) take(n int) error {
	if a.budget == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended || a.used+int64(n) > a.budget.left.Add(int64(-n)) {
		a.budget.left.Add(int64(n))
		return fmt.Errorf("%w: the lane uses its share of what the lanes may have together", ErrNoMemory)
	}
	a.used += int64(n)
	return nil
}

// give gives n bytes back.
func (a *allotment) give(n int) {
	if a.budget == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ended {
		a.used -= int64(n)
		a.budget.left.Add(int64(n))
	}
}

// settle gives everything back, once the lane has ended.
func (a *allotment) settle() {
	if a.budget == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.budget.left.Add(a.used)
	a.used, a.ended = 0, true
}
