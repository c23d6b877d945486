package shm

import (
	"sync/atomic"
	"time"
)

// backoff adapts how long to spin to how well spinning has paid lately. Its
// methods may race: it only ever guesses.
type backoff struct {
	max   time.Duration
	fails atomic.Int32
}

const (
	// patience is how many spins in a row may fail before they get short.
	patience = 3
	// probeEvery is how often a long spin is tried again after that.
	probeEvery = 16
)

// budget is how long the next spin may last.
func (b *backoff) budget() time.Duration {
	if f := b.fails.Load(); f >= patience && f%probeEvery != 0 {
		return min(b.max, shortSpin)
	}
	return b.max
}

// paid notes that what was waited for came during the spin, after d.
func (b *backoff) paid(d time.Duration) {
	if d > shortSpin/2 && b.fails.Load() != 0 {
		b.fails.Store(0)
	}
}

// failed notes that the spin was in vain.
func (b *backoff) failed() { b.fails.Add(1) }
