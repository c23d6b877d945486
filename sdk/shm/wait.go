package shm

import (
	"runtime"

	"github.com/secgear/secgear/sdk/internal/ring"
	"github.com/secgear/secgear/sdk/tee"
)

// Wait waits for the call's answer. When its context ends first, the other side
// is told, and the slot, with all that is lent, stays with it until it is done.
// After a nil error End must follow; after an error the call is over. A ticket
// that is not that of the current use gets [ErrWaited].
func (c *Call) Wait(ticket uint32) (Answer, error) {
	s := c.state.Load()
	if uint32(s>>8) != ticket || s&0xff == stateIdle || s&0xff == stateTaken || s&0xff == stateAbandoned || s&0xff == stateForsaken {
		return Answer{}, ErrWaited
	}
	l := c.lane
	if s&0xff == stateFlying {
		if l.turns.waiting() != 0 {
			if l.takeTurns(c) {
				return c.result()
			}
		} else if ok, _ := l.poll.tryCaller(); ok { // a full barrier: the submission is out
			l.wakePeer()
			switch what, q := l.pollFor(c); what {
			case pollAnswered:
				return c.result()
			case pollNested:
				l.executeNested(q)
			}
		}
	}
	if err := c.wait(); err != nil {
		l.leave()
		return Answer{}, err
	}
	return c.result()
}

// result reads the answer, once, and ends the call if it is none.
func (c *Call) result() (Answer, error) {
	if !c.is(stateDetached) {
		c.err = c.read()
	}
	if c.err == nil && c.lane.closedHere() {
		// The other side has perhaps only answered that its context ended.
		c.err = tee.ErrClosed
	}
	if err := c.err; err != nil {
		c.watched |= callFailed
		c.End()
		return Answer{}, err
	}
	if c.answer.Status != 0 {
		c.watched |= callFailed
	}
	return c.answer, nil
}

// End gives back what the call held; its answer is not used any more.
func (c *Call) End() {
	if c.is(stateDetached) {
		c.ctx, c.answer, c.gained = nil, Answer{}, nil
		c.set(stateIdle)
		return
	}
	c.lane.release(c) // a full barrier
	c.lane.leave()
}

// wait returns nil once the answer is there and this goroutine's to read.
func (c *Call) wait() error {
	l := c.lane
	for {
		switch c.state.Load() & 0xff {
		case stateTaken, stateDetached:
			return nil
		case stateDetaching:
			runtime.Gosched()
		case stateAnswered:
			c.set(stateTaken)
			return nil
		case statePoll:
			c.set(stateFlying)
		case stateNested:
			c.runNested()
		case stateSwitched:
			if c.fromBell.Load() != nil {
				c.set(stateTaken)
				return nil
			}
			if err := c.block(); err != nil {
				return err
			}
		case stateWaiting, stateAsleep:
			if err := c.block(); err != nil {
				return err
			}
		default: // flying
			if err := c.fly(l); err != nil {
				return err
			}
		}
	}
}

// runNested runs the call that the poller handed to this one.
func (c *Call) runNested() {
	q := c.nested
	c.nested = nil
	c.set(stateFlying)
	c.lane.executeNested(q)
}

// fly polls for the call, or waits for whoever polls.
func (c *Call) fly(l *Lane) error {
	if !c.tired && l.takeTurns(c) {
		return nil
	}
	ok, asked := l.poll.tryCaller() // a full barrier: the submission is out
	l.wakePeer()
	for try := 0; !ok && asked && try < handOverTries; try++ {
		// An idle worker is about to let go of the lock.
		ring.Spin(l.answers.Word(c.slot), c.gen, &l.poll.state, pollFree, handOverPauses)
		ok, asked = l.poll.tryCaller()
	}
	if !ok {
		c.park(l)
		return nil
	}
	what, q := l.pollFor(c)
	switch what {
	case pollNested:
		l.executeNested(q)
	case pollStopped:
		return c.stop()
	}
	return nil
}

const (
	handOverTries  = 16
	handOverPauses = 16
)

// park lets the goroutine wait for whoever polls now.
func (c *Call) park(l *Lane) {
	if !c.move(stateFlying, stateWaiting) {
		return
	}
	l.parked.Add(1)
	if l.poll.held() {
		return
	}
	// The poller left without having seen us.
	if c.move(stateWaiting, stateFlying) {
		l.parked.Add(-1)
	}
}

// block waits on the signal channel.
func (c *Call) block() error {
	c.lane.counts.parks.Add(1)
	if done := c.ctx.Done(); done != nil {
		select {
		case <-c.signalCh:
		case <-done:
		case <-c.lane.done:
		}
	} else {
		select {
		case <-c.signalCh:
		case <-c.lane.done:
		}
	}
	if c.lane.closed.Load() || contextErr(c.ctx) != nil {
		return c.stop()
	}
	return nil
}

// stop ends the wait for a call whose context or lane has ended, unless
// something came in between (nil: look at the state again).
func (c *Call) stop() error {
	l := c.lane
	s := c.state.Load() & 0xff
	switch s {
	case stateFlying, stateWaiting, stateAsleep, stateSwitched:
	default:
		return nil
	}
	if l.closed.Load() {
		err := l.err
		if c.move(s, stateTaken) {
			if s == stateWaiting || s == stateAsleep {
				l.parked.Add(-1)
			}
			c.watched |= callFailed
			l.release(c)
			return err
		}
		return nil
	}
	err := contextErr(c.ctx)
	slot, gen, switched := c.slot, c.gen, c.switched
	if s == stateFlying {
		l.parked.Add(1)
	}
	gone := uint64(stateAbandoned)
	if switched {
		gone = stateForsaken
	}
	if !c.move(s, gone) {
		if s == stateFlying {
			l.parked.Add(-1)
		}
		return nil
	}
	// From here on c belongs to whoever notices the answer.
	if switched {
		l.bell.sendCancel(slot, gen)
		if c.fromBell.Load() != nil {
			c.retireSwitched(gen)
		}
	} else {
		l.aux.send(l, ring.Submission{Kind: ring.KindCancel, Slot: uint8(slot), Gen: gen})
	}
	return err
}

// read takes over the answer: it is copied to private memory. The other side is
// told that it can have its memory back when the call is over.
func (c *Call) read() (err error) {
	l := c.lane
	if c.switched {
		b := c.fromBell.Load()
		c.answer, c.reserved = b.Answer, b.reserved
		c.tally.bell.add(uint64(len(b.Payload)))
		return b.err
	}
	a, inline := l.answers.Read(c.slot, &c.results)
	if !a.Arena {
		if a.Len > ring.InlineResults {
			return ErrProtocol
		}
		c.answer = Answer{Status: a.Status, Payload: inline}
		return nil
	}
	c.large = true
	mem, ok := l.region.Arena(l.side.Peer(), a.Offset, a.Len)
	if !ok {
		return ErrProtocol
	}
	if len(mem) > scratchSize {
		// Answers that are being read all fit the arena, from an honest peer.
		if err := l.reserve(len(mem)); err != nil {
			return err
		}
		c.reserved = len(mem)
	}
	c.answer = Answer{Status: a.Status}
	c.tally.arena.add(uint64(len(mem)))
	c.answer.Payload, c.answer.Owned, err = l.copyOut(&c.scratch, mem)
	return err
}

// retireSwitched frees the slot of a switched call that was answered after its
// owner had gone.
func (c *Call) retireSwitched(gen uint32) {
	g := uint64(gen) << 8
	if c.state.CompareAndSwap(g|stateForsaken, g|stateTaken) {
		c.watched |= callFailed
		if b := c.fromBell.Load(); b != nil {
			c.reserved = b.reserved
		}
		c.lane.release(c)
	}
}

// copyOut copies mem to *scratch, or to memory of its own, which has been
// reserved, when it is large.
func (l *Lane) copyOut(scratch *[]byte, mem []byte) (b []byte, owned bool, err error) {
	if len(mem) > scratchSize {
		return append([]byte(nil), mem...), true, nil
	}
	if *scratch == nil {
		if err := l.memory.take(scratchSize); err != nil {
			return nil, false, err
		}
		*scratch = make([]byte, scratchSize)
	}
	return (*scratch)[:copy(*scratch, mem)], false, nil
}
