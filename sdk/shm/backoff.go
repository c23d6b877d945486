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
	// probe is how much longer that one is: much longer than the other side needs to
	// wake up, or two sides that take turns to sleep would go on doing so.
	probe = 2
)

// budget is how long the next spin may last.
func (b *backoff) budget() time.Duration {
	f := b.fails.Load()
	switch {
	case f < patience:
		return b.max
	case f%probeEvery == 0:
		return probe * b.max
	default:
		return min(b.max, shortSpin)
	}
}

// paid notes that what was waited for came during the spin: the other side runs
// at the same time as this one.
func (b *backoff) paid() {
	if b.fails.Load() != 0 {
		b.fails.Store(0)
	}
}

// failed notes that the spin was in vain.
func (b *backoff) failed() { b.fails.Add(1) }
