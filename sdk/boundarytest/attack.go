package boundarytest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/boundarytest/hostile"
	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/internal/ring"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
)

// script is one class of attacks. run goes on until more says no, on a goroutine
// of its own, and starts others with also.
type script struct {
	name string
	run  func(*attack)
	// legit scripts leave the lane's other end to an honest peer, and only
	// write into the memory beside it.
	legit bool
	// deaf scripts don't read what the victim says over the bell.
	deaf bool
}

// role is what the victim does.
type role bool

const (
	serving role = false // at the enclave's end
	calling role = true  // at the host's end
)

// attack is one script at work on one lane.
type attack struct {
	*hostile.Peer
	t      *testing.T
	suite  *suite
	rand   *rand.Rand // of the script's own goroutine
	victim *shm.Lane
	memory *hostile.Guarded
	end    *tee.Lane // the attacker's

	threads sync.WaitGroup
	over    atomic.Bool
	names   atomic.Int32 // of threads, for their randomness
	leaked  atomic.Bool  // the secret came over the bell
	served  atomic.Int64 // calls that reached the service

	calls   chan hostile.Frame // switched calls by the victim
	answers chan hostile.Frame // the victim's answers to switched calls

	*caller
	slots slots
}

// more tells a script to go on. It does so past the end of the victim's lane: an
// attacker keeps its mapping of the memory.
func (a *attack) more() bool {
	runtime.Gosched()
	return !a.over.Load()
}

// also runs f on another goroutine, again and again, with randomness of its own.
func (a *attack) also(f func(r *rand.Rand)) {
	r := a.suite.random(a.t.Name() + string(rune(a.names.Add(1))))
	a.threads.Go(func() {
		for a.more() {
			f(r)
		}
	})
}

// await waits until done, and returns false when the lane or the attack is over
// first. What takes longer than anything may is an error.
func (a *attack) await(what string, done func() bool) bool {
	for begun := time.Now(); !done(); {
		if !a.more() || a.victim.Err() != nil {
			return false
		}
		if time.Since(begun) > patience {
			a.t.Errorf("waited %v for %s", patience, what)
			a.over.Store(true)
			return false
		}
	}
	return true
}

// duration is how long a script works.
func duration() time.Duration {
	if testing.Short() {
		return 20 * time.Millisecond
	}
	return 60 * time.Millisecond
}

// attack runs one script and checks what Run promises.
func (s *suite) attack(t *testing.T, what script, victim role) {
	before := measure()
	a := s.prepare(t, what, victim)
	a.threads.Go(func() { what.run(a) })
	if victim == calling {
		a.caller = startCallers(a.t, a.suite.Calls, a.victim, 8)
	}
	for begun := time.Now(); time.Since(begun) < duration(); time.Sleep(5 * time.Millisecond) {
		before.checkGoroutines(t)
	}
	a.checkEffect()
	a.suite.honest.check(t)
	before.checkMemory(t)
	a.checkSecret()
	// The attack goes on: calls end with their context, and a lane can be closed.
	if a.caller != nil && !a.caller.stop(t) || !closeLane(t, a.victim) {
		return // what hangs still uses the memory
	}
	a.finish()
	s.checkNewLane(t)
}

// prepare opens a lane for what.
func (s *suite) prepare(t *testing.T, what script, victim role) *attack {
	t.Helper()
	memory, err := hostile.Memory(regionSize)
	if err != nil {
		t.Fatal(err)
	}
	a := &attack{
		t: t, suite: s, rand: s.random(t.Name()), memory: memory,
		calls: make(chan hostile.Frame, 1024), answers: make(chan hostile.Frame, 1024),
	}
	x, y := net.Pipe()
	futex := ring.HasFutex && a.rand.IntN(2) == 0
	a.end = &tee.Lane{Mem: memory.Mem, Bell: x, Futex: futex}
	theirs := &tee.Lane{Mem: memory.Mem, Bell: y, Futex: futex}
	side := shm.Enclave
	if victim == calling {
		side = shm.Host
	}
	count := handlerFunc(func(ctx context.Context, q *shm.Request) {
		a.served.Add(1)
		s.mux.ServeCall(ctx, q)
	})
	if a.victim, err = shm.Open(theirs, side, count, shm.Config{Cooperative: true}); err != nil {
		t.Fatal(err)
	}
	if a.Peer, err = hostile.NewPeer(a.end, side.Peer()); err != nil {
		t.Fatal(err)
	}
	if !what.legit && !what.deaf {
		a.threads.Go(a.listen)
	}
	return a
}

// listen reads what the victim says over the bell.
func (a *attack) listen() {
	a.Frames(func(f hostile.Frame, payload []byte) {
		if bytes.Contains(payload, secret) {
			a.leaked.Store(true)
		}
		var to chan hostile.Frame
		switch f.Kind {
		case hostile.FrameCall:
			to = a.calls
		case hostile.FrameAnswer:
			to = a.answers
		default:
			return
		}
		select {
		case to <- f:
		default: // nobody wants it
		}
	})
}

// checkEffect fails the test if the attack did not get as far as the contract's
// code.
func (a *attack) checkEffect() {
	a.t.Helper()
	count := func() int64 {
		if a.caller != nil {
			return a.caller.made.Load()
		}
		return a.served.Load()
	}
	for begun := time.Now(); count() == 0; time.Sleep(time.Millisecond) {
		if time.Since(begun) > patience {
			a.t.Fatalf("the attack has not reached the contract's code for %v", patience)
		}
	}
}

// checkSecret fails the test if something of another lane's can be seen.
func (a *attack) checkSecret() {
	a.t.Helper()
	if a.leaked.Load() || bytes.Contains(slices.Clone(a.Mem), secret) {
		a.t.Error("what passed over another lane appears in the attacked one")
	}
}

// finish ends the attack on a closed lane.
func (a *attack) finish() {
	a.t.Helper()
	a.over.Store(true)
	a.Bell.Close()
	a.threads.Wait()
	a.checkSecret()
	if err := a.memory.Check(); err != nil {
		a.t.Error(err)
	}
	if err := a.memory.Free(); err != nil {
		a.t.Error(err)
	}
}

// closeLane closes l, whose peer may still be at it, and waits for its end.
func closeLane(t *testing.T, l *shm.Lane) bool {
	t.Helper()
	l.Close()
	joined := make(chan struct{})
	go func() {
		l.Join()
		close(joined)
	}()
	return await(t, "the goroutines of a closed lane", joined)
}

// await fails the test, showing all goroutines, if done isn't closed in time.
func await(t *testing.T, what string, done <-chan struct{}) bool {
	t.Helper()
	select {
	case <-done:
		return true
	case <-time.After(patience):
		buf := make([]byte, 1<<20)
		t.Errorf("waited %v for %s\n%s", patience, what, buf[:runtime.Stack(buf, true)])
		return false
	}
}

// checkNewLane fails the test unless the service serves a new lane.
func (s *suite) checkNewLane(t *testing.T) {
	t.Helper()
	lane := pair(t, s.mux)
	for i, do := range s.Calls {
		if err := do(t.Context(), over{lane}); err != nil {
			t.Errorf("method %d over a new lane: %v", i, err)
		}
	}
}

// usage is what the process uses.
type usage struct {
	goroutines int
	heap       uint64
}

func measure() usage {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{runtime.NumGoroutine(), m.HeapAlloc}
}

const (
	// maxGoroutines is more than the workers of a lane, those of nested calls,
	// and the attack's own.
	maxGoroutines = 64 + 2*shm.Slots + 50
	// maxHeap allows for what is encoded in few bytes and takes many in memory
	// (an empty map takes 4 and 48), for all that fits an arena at a time.
	maxHeap = 32 * arenaSize
)

func (u usage) checkGoroutines(t *testing.T) {
	t.Helper()
	if n := runtime.NumGoroutine(); n > u.goroutines+maxGoroutines {
		t.Fatalf("%d goroutines, %d before the attack", n, u.goroutines)
	}
}

func (u usage) checkMemory(t *testing.T) {
	t.Helper()
	// What was allocated while the collector ran is counted, too: what matters
	// is that it comes down again.
	now := measure()
	for begun := time.Now(); now.heap > u.heap+maxHeap; now = measure() {
		if time.Since(begun) > patience {
			t.Fatalf("%d KiB of memory, %d before the attack on a lane with arenas of %d", now.heap>>10, u.heap>>10, arenaSize>>10)
		}
	}
}

// caller makes the calls of a victim.
type caller struct {
	wg     sync.WaitGroup
	ctx    context.Context
	cancel context.CancelFunc
	made   atomic.Int64
}

// startCallers has n goroutines call each method in turn. Each call has a short
// time to live.
func startCallers(t *testing.T, calls []func(context.Context, call.Caller) error, l *shm.Lane, n int) *caller {
	c := new(caller)
	c.ctx, c.cancel = context.WithCancel(t.Context())
	for range n {
		c.wg.Go(func() {
			for i := 0; c.ctx.Err() == nil && l.Err() == nil; i++ {
				ctx, cancel := context.WithTimeout(c.ctx, callTime)
				err := calls[i%len(calls)](ctx, over{l})
				cancel()
				c.made.Add(1)
				// What the attacker answers may be anything, also success.
				if errors.Is(err, shm.ErrWaited) {
					t.Errorf("method %d: %v", i%len(calls), err)
				}
			}
		})
	}
	return c
}

// callTime is how long an attacked call may take, by its context.
const callTime = 2 * time.Millisecond

// stop ends the calls, which must not take longer than their context.
func (c *caller) stop(t *testing.T) bool {
	t.Helper()
	c.cancel()
	done := make(chan struct{})
	go func() {
		c.wg.Wait()
		close(done)
	}()
	return await(t, "calls whose context has ended", done)
}
