package shm

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/secgear/secgear/sdk/internal/ring"
)

// What a poller came upon.
const (
	pollNothing  = iota
	pollAnswered // its call's answer
	pollNested   // a call made from inside its call, for it to run
	pollCall     // a call for a worker to run
	pollAsleep   // its patience ended; it is marked asleep
	pollStopped  // the end of its context or of the lane
)

const (
	firstPauses = 128 // of the first look: some microseconds
	morePauses  = 64  // between looks at the clock
	manyPauses  = 8   // between looks at many calls

	// stall is how long nothing may be taken of what was submitted before the
	// other side's idle worker is woken to help: about as long as that takes.
	// Most of those who don't take anything were only interrupted, and a worker
	// woken then is in the way of the one who will go on.
	stall = 50 * time.Microsecond
	// slowWake is how long waking up may take.
	slowWake = time.Millisecond
)

// pollFor polls until c is answered or c's patience ends. It takes over the
// poll lock and has given it up when it returns.
func (l *Lane) pollFor(c *Call) (int, *Request) {
	l.setAwake()
	if !c.is(stateFlying) { // detached while we came for the lock
		l.stopPolling()
		return pollNothing, nil
	}
	own := l.answers.Word(c.slot)
	if l.parked.Load() == 0 && l.turns.waiting() == 0 && !l.cfg.Cooperative && l.cfg.Spin > 0 {
		// Most calls end here: one caller, a short call.
		in, published := l.recv.Word()
		ring.Spin(own, c.gen, in, published, firstPauses)
	}
	if own.Load() == c.gen {
		c.set(stateTaken)
		l.polled.paid.add(1)
		l.poll.unlock()
		l.callSpin.paid()
		return pollAnswered, nil
	}
	others := uint64(1) << c.slot
	w := watch{lane: l, pauses: firstPauses}
	for {
		if own.Load() == c.gen {
			c.set(stateTaken)
			l.polled.paid.add(1)
			l.poll.unlock()
			l.callSpin.paid()
			return pollAnswered, nil
		}
		if l.recv.Ready() && !l.closed.Load() && !(c.bounded && contextErr(c.ctx) != nil) {
			if q := l.take(c); q != nil {
				l.stopPolling()
				return pollNested, q
			}
			continue
		}
		if l.delivered {
			l.delivered = false
			w.restart()
			l.yield()
		}
		if set := l.slots.taken() &^ others; set != 0 && l.notice(set) > 0 {
			w.restart()
			l.yield()
		}
		if l.closed.Load() || (c.bounded && contextErr(c.ctx) != nil) {
			l.poll.unlock()
			return pollStopped, nil
		}
		if !c.tired && l.turns.waiting() != 0 {
			l.stopPolling()
			return pollNothing, nil
		}
		if w.elapsed > l.callSpin.budget() {
			if l.fallAsleep(c) {
				return pollAsleep, nil
			}
			w.restart()
			continue
		}
		w.wait(own, c.gen, l.slots.taken()&^others != 0)
	}
}

// fallAsleep ends c's own polling; the sleeping worker is woken by its answer.
// It returns false when something has come up.
func (l *Lane) fallAsleep(c *Call) bool {
	l.callSpin.failed()
	l.polled.failed.add(1)
	c.set(stateAsleep)
	l.parked.Add(1)
	l.myWake.Store(parked) // a full barrier
	if l.recv.Ready() || l.notice(l.slots.taken()) > 0 {
		l.myWake.Store(awake)
		if c.move(stateAsleep, stateFlying) {
			l.parked.Add(-1)
			return false
		}
		// Our own answer was noticed, or a nested call handed to us.
		l.stopPolling()
		return true
	}
	l.poll.unlock()
	if !l.watched() {
		l.leave()
	}
	return true
}

// watched makes sure, after the poll lock was given up with the wake word set
// to parked, that nothing came in between: a worker that was woken while the
// lock was held has gone back to sleep (then somebody must look again, and it
// returns false); a call that was submitted meanwhile, by somebody who counts on
// the holder of the lock, lies unread.
func (l *Lane) watched() bool {
	ring.Fence()
	if !l.send.Consumed(l.send.Last()) {
		l.rousePeer()
	}
	return l.myWake.Load() == parked
}

// watch is one poller's sense of time. The clock is read only after the first
// look, which is long enough for a short call.
type watch struct {
	lane    *Lane
	begun   time.Time
	elapsed time.Duration
	pauses  int
	stuck   uint32    // how many submissions were taken when one was first seen unread
	since   time.Time // when that was; zero: it isn't
	roused  time.Duration
}

// wait lets time pass until own has the value gen, a call comes in, or it is
// time to look around.
func (w *watch) wait(own *atomic.Uint32, gen uint32, many bool) {
	l := w.lane
	in, published := l.recv.Word()
	switch {
	case l.cfg.Cooperative:
		runtime.Gosched()
	case many:
		ring.Spin(own, gen, in, published, manyPauses)
	default:
		ring.Spin(own, gen, in, published, w.pauses)
		w.pauses = morePauses
	}
	if own.Load() == gen || in.Load() == published {
		return
	}
	now := time.Now()
	if w.begun.IsZero() {
		w.begun = now
	}
	w.elapsed = now.Sub(w.begun)
	w.checkStall(now)
}

// restart renews the poller's patience: its polling has paid for others.
func (w *watch) restart() { w.begun, w.elapsed = time.Time{}, 0 }

// checkStall wakes the other side's idle worker when nobody takes what was
// submitted: whoever polled there is busy with a long call.
func (w *watch) checkStall(now time.Time) {
	l := w.lane
	if l.slots.taken() == 0 {
		return
	}
	taken := l.send.Taken()
	switch {
	case taken-1 == l.send.Last():
		w.since = time.Time{}
	case w.since.IsZero() || w.stuck != taken:
		w.stuck, w.since = taken, now
	case now.Sub(w.since) < stall+w.roused:
	case now.Sub(w.since) < slowWake && l.peerWake.Load() == woken:
		// It is on its way.
	default:
		l.counts.stalls.Add(1)
		l.rousePeer()
		w.roused = max(2*w.roused, stall)
		w.since = now
	}
}

// notice looks at the calls in set, whose owners don't poll for themselves, and
// returns how many it woke or made free. The holder of poll calls it.
func (l *Lane) notice(set uint64) int {
	n := 0
	for ; set != 0; set &= set - 1 {
		slot := bits.TrailingZeros64(set)
		c := l.calls[slot].Load()
		s := c.state.Load()
		if gen := uint32(s >> 8); l.answers.Word(slot).Load() != gen {
			continue
		}
		switch s & 0xff {
		case stateWaiting, stateAsleep:
			if c.state.CompareAndSwap(s, s&^0xff|stateAnswered) {
				l.parked.Add(-1)
				c.signal()
				n++
			}
		case stateAbandoned:
			n += l.retire(c, s)
		case stateFlying:
			if l.freed.wanted() {
				n += l.detach(c, s)
			}
		}
	}
	return n
}

// retire frees the slot of a call that was answered after its owner had gone.
func (l *Lane) retire(c *Call, s uint64) int {
	if !c.state.CompareAndSwap(s, s&^0xff|stateTaken) {
		return 0
	}
	l.parked.Add(-1)
	a, _ := l.answers.Read(c.slot, &c.results)
	c.large = a.Arena
	c.watched |= callFailed
	l.release(c)
	return 1
}

// detach copies the answer of a call that nobody waits for yet and gives its
// slot to another Call.
func (l *Lane) detach(c *Call, s uint64) int {
	if !c.state.CompareAndSwap(s, s&^0xff|stateDetaching) {
		return 0
	}
	next := newCall(l, c.slot)
	next.gen = c.gen
	c.err = c.read()
	if c.err != nil || c.answer.Status != 0 {
		c.watched |= callFailed
	}
	c.settle()
	next.tally, next.unnamed, next.contract, next.method = c.tally, c.unnamed, c.contract, c.method
	c.giveBack()
	l.calls[c.slot].Store(next)
	c.set(stateDetached)
	l.slots.put(c.slot)
	l.freed.notify()
	return 1
}

// anyAnswered tells whether a call that sleeps, or was abandoned, is answered.
// The holder of poll calls it.
func (l *Lane) anyAnswered() bool {
	for set := l.slots.taken(); set != 0; set &= set - 1 {
		slot := bits.TrailingZeros64(set)
		c := l.calls[slot].Load()
		s := c.state.Load()
		switch s & 0xff {
		case stateWaiting, stateAsleep, stateAbandoned:
			if l.answers.Word(slot).Load() == uint32(s>>8) {
				return true
			}
		}
	}
	return false
}

// stopPolling gives up the poll lock.
func (l *Lane) stopPolling() {
	l.poll.unlock()
	ring.Fence()
	l.leave()
}

// leave sees to it that somebody polls for the calls that don't do so
// themselves. Whoever stops polling calls it, after a full barrier.
func (l *Lane) leave() {
	for l.region != nil && l.parked.Load() != 0 && !l.handOver() {
	}
}

// handOver makes a waiting call poll, or if all have waited long enough, the
// sleeping worker watch for them. It returns false if that has to be tried again.
func (l *Lane) handOver() bool {
	for set := l.slots.taken(); set != 0; set &= set - 1 {
		c := l.calls[bits.TrailingZeros64(set)].Load()
		s := c.state.Load()
		if s&0xff == stateWaiting && c.state.CompareAndSwap(s, s&^0xff|statePoll) {
			l.parked.Add(-1)
			c.signal()
			return true
		}
	}
	if ok, _ := l.poll.tryCaller(); !ok {
		return true // whoever has the lock leaves later
	}
	l.myWake.Store(parked) // a full barrier
	l.notice(l.slots.taken())
	call := l.recv.Ready()
	l.poll.unlock()
	if call {
		l.wakeSelf()
		return true
	}
	return l.watched()
}

// yield lets goroutines that were just woken run.
func (l *Lane) yield() { runtime.Gosched() }

// pollFreeing polls for a while, for something to become free. It returns
// whether anything has.
func (l *Lane) pollFreeing() bool {
	if l.region == nil {
		return false
	}
	if ok, _ := l.poll.tryCaller(); !ok {
		return false
	}
	l.setAwake()
	w := watch{lane: l, pauses: morePauses}
	n := 0
	for w.elapsed <= l.callSpin.budget() && !l.closed.Load() {
		if n = l.notice(l.slots.taken()); n > 0 {
			break
		}
		if l.recv.Ready() {
			l.take(nil)
		}
		w.wait(&l.poll.state, pollWanted, true) // a value it doesn't get
	}
	l.stopPolling()
	return n > 0
}
