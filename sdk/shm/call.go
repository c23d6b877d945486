package shm

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/secgear/secgear/sdk/internal/ring"
)

// Call is an outgoing call: a slot of the lane. It passes through Begin, Start,
// Wait and End in this order, on one goroutine at a time; Calls are used again,
// which a ticket guards against.
type Call struct {
	lane *Lane
	slot int

	// state is gen<<8 | one of the states below. Its owner moves it on, and
	// the holder of poll where the state says so.
	state atomic.Uint64
	gen   uint32 // of this use; the low 32 bits of a count of uses of the slot

	ctx      context.Context
	bounded  bool // ctx can end
	contract uint32
	method   uint16
	watched  uint8  // what is to be counted at the end
	unnamed  bool   // statistics lack the method's name
	weight   uint32 // how many calls this one stands for, if it is timed
	begun    int64  // clock
	tally    *tally // of the contract's method
	switched bool
	sub      ring.Submission // what is published

	args    []byte // where arguments are encoded
	prefix  int    // bytes of args before them
	inline  [ring.InlineArgs]byte
	chunk   uint64 // in this side's arena, if chunked
	chunked bool
	loans   []*handle
	gained  []Buffer // in the answer

	signalCh chan struct{}              // capacity 1: look at state again
	tired    bool                       // has taken turns in vain
	nested   *Request                   // stateNested: to be run by the waiting goroutine
	fromBell atomic.Pointer[bellAnswer] // of a switched call
	answer   Answer
	err      error // instead of answer
	large    bool  // the answer lies in the other side's arena
	reserved int   // bytes of it that count as being read
	results  [ring.InlineResults]byte
	scratch  []byte // for answers up to scratchSize
}

// States of a call.
const (
	stateIdle      = iota
	stateSending   // about to be published
	stateFlying    // published; nobody waits yet
	stateTaken     // its owner deals with the answer; others keep off
	stateWaiting   // its owner waits on signalCh and may be asked to poll
	stateAsleep    // its owner waits on signalCh and has polled enough
	stateNested    // handed a nested call by the poller
	statePoll      // asked to poll by the last poller
	stateAnswered  // the answer has been noticed by the poller
	stateDetaching // the poller copies the answer
	stateDetached  // the answer has been copied and the slot given to another Call
	stateSwitched  // sent over the bell; the answer comes to fromBell
	stateAbandoned // its owner has gone; whoever notices the answer frees the slot
	stateForsaken  // as stateAbandoned, of a switched call: the answer comes to fromBell
)

// scratchSize is the size up to which messages are copied to memory that the
// call keeps, instead of memory of their own.
const scratchSize = 4096

func newCall(l *Lane, slot int) *Call {
	return &Call{lane: l, slot: slot, signalCh: make(chan struct{}, 1), tally: noTally}
}

func (c *Call) is(state uint64) bool { return c.state.Load()&0xff == state }

// set moves the call to state. It is a release, not a fence.
func (c *Call) set(state uint64) {
	ring.StoreRelease64(&c.state, uint64(c.gen)<<8|state)
}

// move moves the call from one state to another unless somebody else did.
func (c *Call) move(from, to uint64) bool {
	g := uint64(c.gen) << 8
	return c.state.CompareAndSwap(g|from, g|to)
}

func (c *Call) signal() {
	select {
	case c.signalCh <- struct{}{}:
	default:
	}
}

// Ticket identifies this use of c.
func (c *Call) Ticket() uint32 { return c.gen }

// Begin reserves a call: a slot, and size bytes in which the arguments are to
// be encoded (see [Call.Args]). While all slots, or the arena, are taken it
// waits for one to become free, bounded by ctx, which also bounds the whole
// call. Abort or Start must follow.
func (l *Lane) Begin(ctx context.Context, contract uint32, method uint16, switched bool, size int) (*Call, error) {
	if l.closed.Load() {
		return nil, l.err
	}
	level := uint8(0)
	parent, bounded, trace := within(ctx)
	if parent != nil {
		level = max(parent.sub.Level, parent.sub.Level+1)
	}
	slot := l.slots.take(level)
	if slot < 0 {
		var err error
		if slot, err = l.waitSlot(ctx, level); err != nil {
			l.made.refused(methodKey(contract, method))
			return nil, err
		}
	}
	c := l.calls[slot].Load()
	c.sub.Level, c.sub.Parent, c.sub.ParentGen, c.sub.Flags = level, ring.NoParent, 0, 0
	if parent != nil && parent.lane == l {
		c.sub.Parent, c.sub.ParentGen = parent.sub.Slot, parent.sub.Gen
	}
	c.gen++
	if c.gen == 0 {
		c.gen = 1 // zero is a line never answered
	}
	c.switched = switched || l.region == nil
	if c.contract != contract || c.method != method || c.tally == noTally {
		c.contract, c.method = contract, method
		c.recount()
	}
	if n := c.tally.begin(); n&c.tally.mask == 0 {
		c.startClock(size)
	}
	c.tired = false
	c.ctx, c.bounded = ctx, bounded
	c.prefix = 0
	if trace != nil {
		c.prefix = trace.Size()
	}
	if err := c.room(c.prefix + size); err != nil {
		c.watched |= callFailed
		l.release(c)
		return nil, err
	}
	if trace != nil {
		trace.Put(c.args)
		c.sub.Flags = ring.FlagTrace
	}
	return c, nil
}

// What release has to count of a call.
const (
	callFailed = 1 << iota
	callTimed
)

// recount finds where the call is counted from now on.
func (c *Call) recount() {
	c.tally = c.lane.made.find(c.slot, methodKey(c.contract, c.method))
	c.unnamed = c.tally.of.names.Load() == nil
}

// startClock times the call, whose arguments take size bytes.
func (c *Call) startClock(size int) {
	c.watched |= callTimed
	c.weight = c.lane.made.weigh(c.tally)
	if size <= ring.InlineArgs && !c.switched {
		c.tally.inline.add(uint64(size) * uint64(c.weight))
	}
	c.begun = clock()
}

// settle counts the call that is over. Its slot is still the caller's.
func (c *Call) settle() {
	if c.watched&callTimed != 0 {
		c.tally.of.latency.add(uint64(clock()-c.begun), uint64(c.weight))
		if !c.switched && !c.large && c.err == nil {
			c.tally.inline.add(uint64(len(c.answer.Payload)) * uint64(c.weight))
		}
	}
	if c.watched&callFailed != 0 {
		c.tally.failed.add(1)
	}
	c.watched = 0
}

// Unnamed tells whether statistics don't know the names of contract and method
// yet, see [Call.Name].
func (c *Call) Unnamed() bool { return c.unnamed }

// Name tells statistics how contract and method are called. It is for those who
// have begun the call, before they start it.
func (c *Call) Name(contract, method string) {
	c.tally.of.names.Store(&[2]string{contract, method})
	c.unnamed = false
}

// room makes c.args size bytes long.
func (c *Call) room(size int) error {
	l := c.lane
	c.chunked = false
	switch {
	case size <= ring.InlineArgs:
		c.args = c.inline[:size]
	case c.switched:
		if size > l.bell.maxPayload() {
			return tooLarge(size, l.bell.maxPayload())
		}
		c.args = make([]byte, size)
	default:
		off, err := l.allocate(c.ctx, size)
		if err != nil {
			return err
		}
		c.chunk, c.chunked = off, true
		c.tally.arena.add(uint64(size))
		c.args, _ = l.region.Arena(l.side, off, uint32(size))
	}
	return nil
}

func tooLarge(size, limit int) error {
	return fmt.Errorf("%w: %d bytes, at most %d fit", ErrTooLarge, size, limit)
}

// allocate returns the offset of size bytes in this side's arena, waiting for
// them to become free.
func (l *Lane) allocate(ctx context.Context, size int) (uint64, error) {
	if size > l.region.ArenaSize() {
		return 0, tooLarge(size, l.region.ArenaSize())
	}
	if off, ok := l.arena.Alloc(size); ok {
		return off, nil
	}
	defer l.freed.leave()
	for {
		again := l.freed.enter()
		l.reclaim()
		off, ok := l.arena.Alloc(size)
		if ok {
			return off, nil
		}
		if err := l.await(ctx, again); err != nil {
			return 0, err
		}
		l.freed.leave()
	}
}

// waitSlot waits for a free slot. Slots of calls that were started, answered
// and not yet waited for are among those that become free.
func (l *Lane) waitSlot(ctx context.Context, level uint8) (int, error) {
	if reserve(level) == 0 {
		return 0, ErrNesting // the slots may all be held by what waits for us
	}
	defer l.freed.leave()
	for {
		again := l.freed.enter()
		if slot := l.slots.take(level); slot >= 0 {
			return slot, nil
		}
		if err := l.await(ctx, again); err != nil {
			return 0, err
		}
		l.freed.leave()
	}
}

// awaitArena waits a moment for something in this side's arena to become free.
func (l *Lane) awaitArena() {
	again := l.freed.enter()
	defer l.freed.leave()
	l.reclaim()
	_ = l.await(context.Background(), again) // the lane's end: the caller looks
}

// await waits for again, for ctx, or for the lane's end, and sees to it that
// somebody polls: the answers that free things may have no waiter of their own.
func (l *Lane) await(ctx context.Context, again <-chan struct{}) error {
	if l.pollFreeing() {
		return nil
	}
	tick := time.NewTimer(time.Millisecond)
	defer tick.Stop()
	select {
	case <-again:
	case <-tick.C:
	case <-ctx.Done():
		return ctx.Err()
	case <-l.done:
	}
	if l.closed.Load() {
		return l.err
	}
	return nil
}

// giveBack frees what c holds, its slot aside.
func (c *Call) giveBack() {
	l := c.lane
	if c.chunked {
		l.arena.Free(c.chunk)
		c.chunked = false
	}
	for i, h := range c.loans {
		h.comeBack()
		c.loans[i] = nil
	}
	c.loans = c.loans[:0]
	clear(c.gained)
	c.gained = c.gained[:0]
	if c.reserved > 0 {
		l.unreserve(c.reserved)
		c.reserved = 0
	}
	if c.large {
		ring.StoreRelease(l.answers.Ack(c.slot), c.gen)
		c.large = false
	}
	c.args = nil
}

// release frees what c holds and its slot.
func (l *Lane) release(c *Call) {
	if c.watched != 0 {
		c.settle()
	}
	c.giveBack()
	c.ctx, c.answer, c.err = nil, Answer{}, nil
	c.set(stateIdle)
	l.slots.put(c.slot) // a full barrier
	l.freed.notify()
}

// Args is where the arguments go. It may be shared memory: write it only, once,
// before Start.
func (c *Call) Args() []byte { return c.args[c.prefix:] }

// Lend implements [Loans]: b belongs to the other side until the call is over.
func (c *Call) Lend(b Buffer) (Ref, error) {
	ref, err := b.lend(c.lane)
	if err == nil && b.h != nil {
		c.loans = append(c.loans, b.h)
		c.tally.buffers.add(uint64(ref.Len))
	}
	return ref, err
}

// Borrow implements [Borrows] for results: the buffer belongs to this side now.
func (c *Call) Borrow(r Ref) (Buffer, error) {
	b, err := c.lane.received(r)
	if err == nil && b.h != nil {
		c.gained = append(c.gained, b)
		if !c.is(stateDetached) { // else its counters are somebody else's
			c.tally.buffers.add(uint64(r.Len))
		}
	}
	return b, err
}

// Refuse gives back the buffers in the answer, which is not what it should be.
func (c *Call) Refuse() {
	c.watched |= callFailed
	for _, b := range c.gained {
		_ = b.Free() // ours alone, not lent: it can't fail
	}
}

// Abort gives up a call that was not started.
func (c *Call) Abort() {
	c.watched |= callFailed
	c.lane.release(c)
	c.lane.leave()
}

// Start publishes the call.
func (c *Call) Start() error {
	l := c.lane
	if l.closed.Load() {
		c.watched |= callFailed
		l.release(c)
		return l.err
	}
	if err := c.address(); err != nil {
		c.watched |= callFailed
		l.release(c)
		return err
	}
	if c.switched {
		c.fromBell.Store(nil)
		c.tally.bell.add(uint64(len(c.args)))
		c.set(stateSwitched)
		if l.bell.sendCall(c) != nil {
			c.watched |= callFailed
			l.release(c)
			l.bell.close() // a broken stream is the lane's end, for the reader too
			<-l.done
			return l.err
		}
		return nil
	}
	c.sub.Kind = ring.KindInline
	if c.chunked {
		c.sub.Kind, c.sub.Offset = ring.KindArena, c.chunk
	}
	c.set(stateSending)
	l.send.Send(&c.sub, c.inline[:min(len(c.args), ring.InlineArgs)])
	c.set(stateFlying)
	// No fence: it would cost a cache line's journey. A sleeper missed here is
	// seen in Wait, and after its nap if nobody waits.
	l.wakePeer()
	return nil
}

// address fills in the submission, arguments aside.
func (c *Call) address() error {
	s := &c.sub
	s.Gen, s.Contract, s.Method = c.gen, c.contract, c.method
	s.Slot, s.Len = uint8(c.slot), uint32(len(c.args))
	s.Timeout = 0
	if !c.bounded {
		return nil
	}
	if d, ok := deadline(c.ctx); ok {
		left := time.Until(d)
		if left <= 0 {
			return context.DeadlineExceeded
		}
		if us := left.Microseconds(); us < math.MaxUint32 {
			s.Timeout = uint32(us) + 1
		}
	}
	return nil
}
