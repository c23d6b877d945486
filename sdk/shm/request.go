package shm

import (
	"fmt"
	"math"
	"sync/atomic"

	"github.com/secgear/secgear/sdk/internal/ring"
	"github.com/secgear/secgear/sdk/internal/tracecontext"
)

// Request is an incoming call. It belongs to its handler until that returns.
type Request struct {
	lane *Lane
	ctx  callContext
	sub  ring.Submission // as the other side sent it, in private memory
	gen  atomic.Uint32   // generation while it is handled, else 0
	kept bool            // its context may be in use still: never used again
	err  error           // why there are no arguments

	args    []byte
	prefix  int // bytes of args before the arguments
	owned   bool
	trace   *tracecontext.Context // nil: none
	scratch []byte

	status  uint32
	results []byte // where results are encoded
	inline  [ring.InlineResults]byte
	out     uint64 // offset of results in this side's arena, if inArena
	inArena bool
	pending atomic.Uint64 // generation and place of results not copied out yet

	tally  *tally // where this call is counted
	timed  bool
	weight uint32 // how many calls it stands for, if it is timed
	begun  int64  // clock

	borrowed []*handle
	switched bool  // came over the bell
	refused  error // switched: why its arguments were not read
}

func newRequest(l *Lane) *Request {
	q := &Request{lane: l, tally: noTally}
	q.ctx.q = q
	return q
}

// begin makes q, whose submission was just copied, ready. The holder of poll
// calls it.
func (q *Request) begin() {
	q.switched, q.inArena, q.prefix = false, false, 0
	if q.trace != nil {
		q.trace = nil
	}
	q.status, q.results = 0, nil
	q.ctx.begin(q.sub.Timeout)
	ring.StoreRelease(&q.gen, q.sub.Gen)
}

// receive brings the arguments to private memory. The length and offset are the
// other side's word.
func (q *Request) receive() error {
	if q.switched {
		return q.refused
	}
	l := q.lane
	if q.sub.Kind == ring.KindInline {
		if q.sub.Len > ring.InlineArgs {
			return fmt.Errorf("%w: %d bytes of arguments in an entry", ErrProtocol, q.sub.Len)
		}
		q.args, q.owned = q.sub.Inline[:q.sub.Len], false
		return nil
	}
	mem, ok := l.region.Arena(l.side.Peer(), q.sub.Offset, q.sub.Len)
	if !ok {
		return fmt.Errorf("%w: arguments outside the arena", ErrProtocol)
	}
	if len(mem) > scratchSize {
		if err := l.reserve(len(mem)); err != nil {
			return err
		}
	}
	q.tally.arena.add(uint64(len(mem)))
	var err error
	q.args, q.owned, err = l.copyOut(&q.scratch, mem)
	return err
}

// recount finds where the call is counted.
func (q *Request) recount() {
	q.tally = q.lane.served.find(int(q.sub.Slot), methodKey(q.sub.Contract, q.sub.Method))
}

// countSwitched counts a switched call. The slot of its number may be in use by
// another call: the tally is one that all share.
func (q *Request) countSwitched() {
	g := q.lane.served
	g.mu.Lock()
	defer g.mu.Unlock()
	q.tally = g.lookup(&g.shared, methodKey(q.sub.Contract, q.sub.Method))
	q.tally.bell.add(uint64(len(q.args)))
	if n := q.tally.begin(); n&q.tally.mask == 0 {
		q.startClock()
	}
}

// startClock times the call.
func (q *Request) startClock() {
	q.timed, q.weight = true, q.lane.served.weigh(q.tally)
	if !q.switched && q.sub.Kind == ring.KindInline {
		q.tally.inline.add(uint64(min(q.sub.Len, ring.InlineArgs)) * uint64(q.weight))
	}
	q.begun = clock()
}

// settle counts the call as done.
func (q *Request) settle() {
	t, g := q.tally, q.lane.served
	if q.timed {
		t.of.latency.add(uint64(clock()-q.begun), uint64(q.weight))
	}
	if q.switched {
		g.mu.Lock()
		defer g.mu.Unlock()
		t.bell.add(uint64(len(q.results)))
		t.done.add(1)
	} else if q.timed && !q.inArena {
		t.inline.add(uint64(len(q.results)) * uint64(q.weight))
	}
	if q.status != 0 {
		t.failed.add(1)
	}
	q.timed = false
}

// countBuffer counts a shared buffer that is handed over.
func (q *Request) countBuffer(r Ref) {
	if q.switched {
		q.lane.served.mu.Lock()
		defer q.lane.served.mu.Unlock()
	}
	q.tally.buffers.add(uint64(r.Len))
}

// reserve counts n bytes of private memory for a message of the other side's.
// Those that are in flight from an honest one all fit its arena.
func (l *Lane) reserve(n int) error {
	if l.copied.Add(int64(n)) > int64(l.bell.maxPayload()) {
		l.copied.Add(int64(-n))
		return fmt.Errorf("%w: messages being read exceed the arena", ErrNoMemory)
	}
	if err := l.memory.take(n); err != nil {
		l.copied.Add(int64(-n))
		return err
	}
	return nil
}

// unreserve ends what reserve began.
func (l *Lane) unreserve(n int) {
	l.copied.Add(int64(-n))
	l.memory.give(n)
}

// Err is why the call can't be handled, or nil: its arguments could not be
// received.
func (q *Request) Err() error { return q.err }

// Contract is the fingerprint of the contract called.
func (q *Request) Contract() uint32 { return q.sub.Contract }

// Method is the method called.
func (q *Request) Method() uint16 { return q.sub.Method }

// Args are the encoded arguments, in private memory.
func (q *Request) Args() []byte { return q.args[q.prefix:] }

// Owned tells whether Args may be kept after the handler returns.
func (q *Request) Owned() bool { return q.owned }

// Results makes room for size bytes of results, waiting for the other side to
// copy earlier ones out of the arena if need be. The room may be shared memory:
// write it only, once.
func (q *Request) Results(size int) ([]byte, error) {
	q.discard()
	l := q.lane
	switch {
	case size <= len(q.inline):
		q.results = q.inline[:size]
	case q.switched:
		if size > l.bell.maxPayload() {
			return nil, tooLarge(size, l.bell.maxPayload())
		}
		q.results = make([]byte, size)
	default:
		off, err := l.allocate(&q.ctx, size)
		if err != nil {
			return nil, err
		}
		q.out, q.inArena = off, true
		q.tally.arena.add(uint64(size))
		q.results, _ = l.region.Arena(l.side, off, uint32(size))
	}
	return q.results, nil
}

// discard gives up results.
func (q *Request) discard() {
	if q.inArena {
		q.lane.arena.Free(q.out)
		q.inArena = false
	}
	q.results = nil
}

// Fail answers with status, which is not 0, and a text instead of results.
func (q *Request) Fail(status uint32, text string) {
	q.discard()
	q.status = status
	if len(text) > len(q.inline) {
		if b := q.tryRoom(len(text)); b != nil {
			q.results = b
			copy(b, text)
			return
		}
	}
	q.results = q.inline[:copy(q.inline[:], text)]
}

// tryRoom makes room for a large answer if there is some at once.
func (q *Request) tryRoom(size int) []byte {
	if q.switched {
		return make([]byte, size)
	}
	off, ok := q.lane.arena.Alloc(size)
	if !ok {
		return nil
	}
	q.out, q.inArena = off, true
	b, _ := q.lane.region.Arena(q.lane.side, off, uint32(size))
	return b
}

// Lend implements [Loans] for results: b belongs to the other side from now on.
func (q *Request) Lend(b Buffer) (Ref, error) {
	ref, err := b.give(q.lane)
	if err == nil && b.h != nil {
		q.countBuffer(ref)
	}
	return ref, err
}

// Borrow implements [Borrows] for arguments.
func (q *Request) Borrow(r Ref) (Buffer, error) {
	b, err := q.lane.borrow(r)
	if err == nil && b.h != nil {
		q.borrowed = append(q.borrowed, b.h)
		q.countBuffer(r)
	}
	return b, err
}

// finish publishes the answer. q is the lane's again.
func (q *Request) finish() {
	l := q.lane
	q.kept = !q.ctx.end()
	for i, h := range q.borrowed {
		h.expire()
		q.borrowed[i] = nil
	}
	q.borrowed = q.borrowed[:0]
	if n := len(q.args); q.owned && n > scratchSize {
		l.unreserve(n)
	}
	q.args, q.prefix, q.err = nil, 0, nil
	if q.timed || q.status != 0 || q.switched {
		q.settle()
	}
	if q.switched {
		l.bell.answer(q)
		return
	}
	slot, gen := int(q.sub.Slot), q.sub.Gen
	a := ring.Reply{Status: q.status, Len: uint32(len(q.results)), Arena: q.inArena, Offset: q.out}
	l.replies.Fill(slot, a, q.results)
	if q.inArena {
		q.pending.Store(uint64(gen)<<32 | q.out/ring.Line + 1)
		q.inArena = false
	}
	ring.StoreRelease(&q.gen, 0)
	l.replies.Publish(slot, gen)
}

// reclaim frees the results of slot's last request that the other side has
// copied out, or any if sure.
func (q *Request) reclaim(slot int, sure bool) {
	v := q.pending.Load()
	if v == 0 || (!sure && q.lane.replies.Ack(slot).Load() != uint32(v>>32)) {
		return
	}
	if q.pending.CompareAndSwap(v, 0) {
		q.lane.arena.Free((v&math.MaxUint32 - 1) * ring.Line)
	}
}

// reclaim frees what the other side has copied out of this side's arena, and
// asks it for more.
func (l *Lane) reclaim() {
	for slot := range l.requests {
		if q := l.requests[slot].Load(); q != nil {
			q.reclaim(slot, false)
		}
	}
	l.aux.send(l, ring.Submission{Kind: ring.KindDrain})
}
