package shm

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secgear/secgear/sdk/internal/ring"
)

// Workers are goroutines that serve calls, inline while there is another one
// asleep to be woken for whatever comes meanwhile. Of those there may be, one
// more than [Config.Workers], the last never runs a handler: it watches, for
// the answers and nested calls that those who run handlers wait for.

// maxIdle is how many idle workers a lane keeps asleep: one to poll and one to
// help when that one is busy.
const maxIdle = 2

// startWorker starts a goroutine that serves calls; false on a lane that has
// ended.
func (l *Lane) startWorker() bool {
	l.counts.noteWorkers(l.workers.Add(1))
	if l.spawn(l.work) {
		return true
	}
	l.workers.Add(-1)
	return false
}

// work is an idle worker: it polls unless somebody else does, and sleeps when
// nothing comes.
func (l *Lane) work() {
	defer l.workers.Add(-1)
	served := false
	nap := l.cfg.nap
	for !l.closed.Load() {
		if l.queue.n.Load() > 0 && l.relieved() {
			if q := l.queue.pop(); q != nil {
				l.execute(q)
				served = true
				continue
			}
		}
		polls := l.poll.tryWorker() // a full barrier: our last answer is out
		l.wakePeer()
		if served && !polls {
			polls = l.poll.relieveWorker()
		}
		if !polls {
			served = false
			if !l.doze(&nap) {
				return
			}
			continue
		}
		q := l.pollServe(served)
		served = q != nil
		if served {
			nap = l.cfg.nap
			if l.relieved() {
				l.execute(q)
			} else {
				l.route(q)
			}
			continue
		}
		if !l.doze(&nap) {
			return
		}
	}
}

// doze sleeps for at most nap, which grows; false means that the worker isn't
// needed any more.
func (l *Lane) doze(nap *time.Duration) bool {
	for {
		n := l.sleepers.Load()
		if n >= maxIdle {
			return false // and was never counted: somebody might rely on it
		}
		if l.sleepers.CompareAndSwap(n, n+1) {
			break
		}
	}
	if l.queue.n.Load() == 0 {
		l.sleep(*nap)
		*nap = min(2**nap, max(longestNap, *nap))
	}
	l.sleepers.Add(-1)
	return true
}

// relieved tells a worker that it may run a handler: another one is there, or
// has now been started, to watch meanwhile.
func (l *Lane) relieved() bool {
	if l.sleepers.Load() > 0 {
		return true
	}
	if int(l.workers.Load()) > l.cfg.Workers {
		return false
	}
	return l.startWorker()
}

// pollServe polls for calls, as an idle worker that holds the poll lock, which
// it has given up on return. Without a call, either a caller wants to poll or
// the other side has been told to wake a sleeper.
func (l *Lane) pollServe(served bool) *Request {
	l.setAwake()
	// A worker that was woken does not park at once: who is between two short
	// calls takes over, and the other side need not wake anybody for the next.
	budget := min(l.cfg.Spin, shortSpin)
	if served {
		budget = l.serveSpin.budget()
	}
	w := watch{lane: l, pauses: firstPauses}
	spun := false
	for {
		for l.recv.Ready() && !l.closed.Load() {
			if q := l.take(nil); q != nil {
				if spun && served {
					l.polled.paid.add(1)
					l.serveSpin.paid()
				}
				l.letGo()
				return q
			}
		}
		if set := l.slots.taken(); set != 0 {
			l.notice(set)
		}
		if l.delivered {
			if !l.letOthersRun() {
				return nil
			}
			served = true
			budget = l.serveSpin.budget()
			w.restart()
			continue
		}
		if l.poll.wanted() || l.closed.Load() {
			l.letGo()
			return nil
		}
		if w.elapsed >= budget {
			if served {
				l.polled.failed.add(1)
				l.serveSpin.failed()
			}
			l.myWake.Store(parked) // a full barrier
			if !l.recv.Ready() && !l.anyAnswered() {
				l.letGo()
				return nil
			}
			l.myWake.Store(awake)
			continue
		}
		w.wait(&l.poll.state, pollWanted, false)
		spun = true
	}
}

// letGo gives up the poll lock, held by a worker. While no calls are out it is
// no fence, which would hold up the call just taken by a cache line's journey;
// callers wait a little for the lock before they count on being seen here.
func (l *Lane) letGo() {
	l.poll.unlock()
	if l.slots.taken() != 0 {
		ring.Fence()
		l.leave()
	}
}

// letOthersRun lets goroutines run that were just woken, and gives up the poll
// lock meanwhile. It returns whether it has it again.
func (l *Lane) letOthersRun() bool {
	l.delivered = false
	l.yielding.Add(1)
	defer l.yielding.Add(-1)
	l.letGo()
	runtime.Gosched()
	if !l.poll.tryWorker() {
		return false
	}
	l.setAwake()
	return true
}

// take takes the next submission and returns the call if this goroutine is to
// run it: as own's nested call, or any call if own is nil and this is a worker.
// The holder of poll calls it.
func (l *Lane) take(own *Call) *Request {
	if !l.recv.Ready() {
		return nil
	}
	var q *Request
	var m ring.Message
	h := l.recv.Peek()
	switch {
	case h.Kind() <= ring.KindArena:
		if q = l.admit(h); q != nil {
			l.recv.Copy(h, &q.sub)
			q.begin()
		}
	default:
		m = l.recv.Message(h)
	}
	l.recv.Consume() // last: a fence after it would cost a cache line's journey
	switch {
	case q != nil:
		return l.assign(q, own)
	case h.Kind() == ring.KindCancel:
		l.cancelled(h.Slot(), h.Gen())
	case h.Kind() == ring.KindFree:
		l.exports.free(l, m.Offset)
	case h.Kind() == ring.KindDrain:
		l.drain()
	case h.Kind() == ring.KindStream:
		if l.streams.receive(m) {
			l.delivered = true
		}
	}
	return nil
}

// admit returns the request of h's slot, or nil for a slot out of range or whose
// last call is still being handled: it breaks the protocol, and there is nowhere
// to answer.
func (l *Lane) admit(h ring.Head) *Request {
	slot := h.Slot()
	if slot >= Slots || h.Gen() == 0 {
		return nil
	}
	q := l.requests[slot].Load()
	switch {
	case q == nil:
		q = newRequest(l)
		l.requests[slot].Store(q)
	case q.gen.Load() != 0:
		return nil
	default:
		q.reclaim(int(slot), true) // its caller has been answered
		if q.kept {
			scratch := q.scratch // not the handler's any more
			q = newRequest(l)
			q.scratch = scratch
			l.requests[slot].Store(q)
		}
	}
	return q
}

// assign gives q to whoever is to run it, and returns it if that is the caller:
// calls made from inside a call of ours run on the goroutine that waits for it,
// if one does and the call is not a switched one. The holder of poll calls it.
func (l *Lane) assign(q *Request, own *Call) *Request {
	c, s := l.parent(q)
	switch {
	case c == nil:
	case c == own:
		return q
	case s&0xff == stateWaiting, s&0xff == stateAsleep:
		c.nested = q
		if c.state.CompareAndSwap(s, s&^0xff|stateNested) {
			l.parked.Add(-1)
			c.signal()
			return nil
		}
	}
	if own == nil && l.poll.state.Load() != pollCaller {
		return q // a worker
	}
	l.route(q)
	return nil
}

// parent returns the call of ours in flight that q was made from inside of, and
// its state.
func (l *Lane) parent(q *Request) (*Call, uint64) {
	if q.sub.Parent >= Slots {
		return nil, 0
	}
	c := l.calls[q.sub.Parent].Load()
	s := c.state.Load()
	if uint32(s>>8) != q.sub.ParentGen || s&0xff == stateIdle {
		return nil, 0
	}
	return c, s
}

// route has q run by a goroutine of its own. It is queued when there are as
// many as there may be, unless it is nested: what it is nested in would wait
// for the queue. An honest peer has no more than Slots nested calls.
func (l *Lane) route(q *Request) {
	c, _ := l.parent(q)
	if n := int(l.workers.Add(1)); n > l.cfg.Workers+1 && (c == nil || n > l.cfg.Workers+1+Slots) {
		l.workers.Add(-1)
		l.queue.push(q)
		l.wakeSelf()
		return
	}
	l.counts.noteWorkers(l.workers.Load())
	started := l.spawn(func() {
		defer l.workers.Add(-1)
		for q != nil {
			l.execute(q)
			if l.region != nil {
				ring.Fence()
				l.wakePeer()
			}
			q = l.queue.pop()
		}
	})
	if !started { // nobody waits for its answer any more
		l.workers.Add(-1)
	}
}

// executeNested runs q's handler on the goroutine of a caller that waits, which
// may find its own answer next, and then neither polls nor looks who sleeps.
func (l *Lane) executeNested(q *Request) {
	l.execute(q)
	ring.Fence()
	l.wakePeer()
}

// execute runs q's handler and publishes its answer. What follows it is a full
// barrier and a look whether the other side sleeps.
func (l *Lane) execute(q *Request) {
	if q.switched {
		q.countSwitched()
	} else {
		if q.tally.key != methodKey(q.sub.Contract, q.sub.Method) {
			q.recount()
		}
		if n := q.tally.begin(); n&q.tally.mask == 0 {
			q.startClock()
		}
	}
	if q.err = q.receive(); q.err == nil && q.sub.Flags != 0 {
		q.err = q.takeTrace()
	}
	if l.closed.Load() {
		q.ctx.cancel(context.Canceled) // fail may have missed it
	}
	l.handler.ServeCall(&q.ctx, q)
	q.finish()
}

// cancelled ends the context of a call that its caller gave up.
func (l *Lane) cancelled(slot uint8, gen uint32) {
	if slot >= Slots {
		return
	}
	for _, q := range []*Request{l.requests[slot].Load(), l.switched[slot].Load()} {
		if q != nil && q.gen.Load() == gen {
			q.ctx.cancel(context.Canceled)
		}
	}
}

// drain copies answers that nobody waits for yet out of the other side's arena.
func (l *Lane) drain() {
	l.freed.waiters.Add(1)
	l.notice(l.slots.taken())
	l.freed.waiters.Add(-1)
}

// requestQueue holds calls that wait for a worker: at most one per slot.
type requestQueue struct {
	n    atomic.Int32
	mu   sync.Mutex
	list []*Request
}

func (r *requestQueue) push(q *Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, q)
	r.n.Add(1)
}

// pop returns the oldest request, or nil.
func (r *requestQueue) pop() *Request {
	if r.n.Load() == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.list) == 0 {
		return nil
	}
	q := r.list[0]
	r.list = append(r.list[:0], r.list[1:]...)
	r.n.Add(-1)
	return q
}
