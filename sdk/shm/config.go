package shm

import (
	"math/bits"
	"runtime"
	"time"

	"github.com/secgear/secgear/sdk/internal/ring"
)

// Role is the end of a lane that a process has.
type Role = ring.Side

// The two ends.
const (
	Host    = ring.Host
	Enclave = ring.Enclave
)

// Config tunes one end of a lane. The zero Config is right for nearly
// everybody.
type Config struct {
	// Workers is how many handlers run at a time, those of nested calls aside;
	// further calls wait for one. Default 64.
	Workers int

	// Spin is how long a waiting side keeps a processor busy before it sleeps.
	// While waits keep outlasting it, it shrinks by itself to two microseconds.
	// Default 100 µs; negative: never spin.
	Spin time.Duration

	// Cooperative makes waiting goroutines yield to others of the process
	// instead of spinning: for two ends of a lane in one process.
	Cooperative bool

	// Cause, if not nil, is asked why the other side is gone when it is, once,
	// and may take a moment to find out. Its answer, which matches [tee.ErrLost],
	// becomes the lane's error.
	Cause func() error

	// Listeners take the streams that the other side dials; nil: nobody does.
	Listeners *Listeners

	// TimeEvery is of how many calls of a method one is timed, see [Latency]: 1
	// times all, at the cost of two looks at the clock each. It is rounded up to a
	// power of two. Default 256.
	TimeEvery uint64

	// Budget, if not nil, bounds the memory of this lane together with others'. A
	// call that would exceed it fails with [ErrNoMemory].
	Budget *Budget

	nap time.Duration // tests make it long, so that a lost wake-up hangs them

	// OnClose, if not nil, is called once when the lane has ended, with why.
	OnClose func(error)
}

const (
	defaultWorkers   = 64
	defaultTimeEvery = 256
	maxTimeEvery     = 1 << 20
	defaultSpin      = 100 * time.Microsecond
	shortSpin        = 2 * time.Microsecond
)

func (c Config) withDefaults() Config {
	if c.Workers <= 0 {
		c.Workers = defaultWorkers
	}
	if c.TimeEvery == 0 {
		c.TimeEvery = defaultTimeEvery
	}
	c.TimeEvery = 1 << bits.Len64(min(c.TimeEvery, maxTimeEvery)-1)
	if c.nap == 0 {
		c.nap = defaultNap
	}
	switch {
	case c.Spin < 0:
		c.Spin = 0
	case c.Spin == 0:
		c.Spin = defaultSpin
	}
	if runtime.NumCPU() == 1 {
		c.Spin = min(c.Spin, shortSpin) // the other side can't run meanwhile
	}
	return c
}
