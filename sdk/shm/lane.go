package shm

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/secgear/secgear/sdk/internal/ring"
	"github.com/secgear/secgear/sdk/tee"
)

// Lane is one end of a lane. Its methods are safe for concurrent use.
//
// A request walks one way: Begin takes a slot, Start publishes the submission
// (call.go), Wait polls for the reply, takes turns with others that wait, or
// sleeps (wait.go, poll.go, turns.go); at the other end a worker takes the
// submission, runs the handler and publishes the reply (serve.go, request.go).
// Streams send submissions that have no reply (stream.go, streams.go); their
// readers poll as callers do (streampoll.go).
type Lane struct {
	side    Role
	cfg     Config
	handler Handler
	region  *region // nil: no shared memory, every call is switched
	bell    *bell

	// Outgoing calls.
	send    ring.Sender
	answers ring.Replies
	calls   [Slots]atomic.Pointer[Call]
	slots   slotPool
	arena   ring.Arena // of this side
	freed   *notifier  // hears when a slot or a range of the arena becomes free
	exports exports    // buffers given to the other side for good
	aux     auxiliary
	streams streams

	// Polling: whoever holds poll looks for answers and incoming calls.
	poll     pollLock
	myWake   *atomic.Uint32
	peerWake *atomic.Uint32
	parked   atomic.Int32 // calls that don't poll for themselves: waiting parked or abandoned
	callSpin backoff
	turns    turns
	apart    apart

	// Incoming calls. Those without a comment belong to the holder of poll.
	recv      ring.Receiver
	replies   ring.Replies
	requests  [Slots]atomic.Pointer[Request]
	switched  [Slots]atomic.Pointer[Request] // over the bell
	serveSpin backoff
	delivered bool         // something came that a goroutine waited for
	yielding  atomic.Int32 // workers that let others run and poll again then
	copied    atomic.Int64 // bytes of large messages of the other side's being read
	memory    allotment
	queue     requestQueue // calls that wait for a worker
	workers   atomic.Int32 // goroutines that serve or may serve
	sleepers  atomic.Int32 // of them, those asleep

	closeOnce sync.Once
	closed    atomic.Bool
	done      chan struct{}
	err       error // set before done is closed
	spawning  sync.Mutex
	wg        sync.WaitGroup // grows under spawning and before closed

	// Statistics.
	made, served *ledger // calls of this side and of the other
	polled       spins   // belongs to the holder of poll
	counts       counts
}

// region keeps the shared memory mapped as long as anything refers to it.
type region struct{ *ring.Region }

// Open makes the end t of a lane usable and takes it over: it is closed by
// Close or by the death of the other side. Both ends must agree on who is the
// Host. Calls that arrive are given to h. A lane without memory (t.Mem is nil)
// makes every call a switched one and has no buffers.
func Open(t *tee.Lane, side Role, h Handler, cfg Config) (*Lane, error) {
	l := &Lane{side: side, cfg: cfg.withDefaults(), handler: h, done: make(chan struct{})}
	l.memory.budget = cfg.Budget
	if err := l.memory.take(laneMemory); err != nil {
		return nil, fmt.Errorf("opening a lane: %w", err)
	}
	l.callSpin.max, l.serveSpin.max = l.cfg.Spin, l.cfg.Spin
	if l.cfg.Spin > shortSpin {
		l.turns.procs = int32(runtime.GOMAXPROCS(0))
	}
	l.made = &ledger{every: l.cfg.TimeEvery}
	l.served = &ledger{every: l.cfg.TimeEvery, name: nameOf(h)}
	l.freed = newNotifier()
	for i := range l.calls {
		l.calls[i].Store(newCall(l, i))
	}
	l.slots.init()
	l.bell = newBell(l, t)
	if t.Mem != nil {
		if err := l.share(t); err != nil {
			l.memory.settle()
			return nil, fmt.Errorf("opening a lane: %w", err)
		}
		l.startWorker()
	}
	l.spawn(l.bell.read)
	return l, nil
}

// share lays the rings over the lane's memory.
func (l *Lane) share(t *tee.Lane) error {
	r, err := ring.NewRegion(t.Mem)
	if err != nil {
		return err
	}
	l.region = &region{r}
	if t.Release != nil {
		runtime.AddCleanup(l.region, func(release func()) { release() }, t.Release)
	}
	peer := l.side.Peer()
	l.send.Init(r, l.side)
	l.answers.Init(r, l.side)
	l.recv.Init(r, peer)
	l.replies.Init(r, peer)
	l.arena.Init(r.ArenaSize())
	l.streams.init(l)
	l.myWake, l.peerWake = r.Wake(l.side), r.Wake(peer)
	if l.bell.futex {
		l.apart.init(r, l.side)
	}
	return nil
}

// Size is the size of the lane's shared memory in bytes.
func (l *Lane) Size() int {
	if l.region == nil {
		return 0
	}
	return ring.HeaderSize + 2*l.region.ArenaSize()
}

// Done is closed when the lane has ended.
func (l *Lane) Done() <-chan struct{} { return l.done }

// Err is why the lane ended; nil before Done.
func (l *Lane) Err() error {
	select {
	case <-l.done:
		return l.err
	default:
		return nil
	}
}

// Close ends the lane: calls in flight fail with [tee.ErrClosed], handlers'
// contexts are cancelled. It does not wait for handlers; Join does.
func (l *Lane) Close() error {
	l.fail(tee.ErrClosed)
	return nil
}

// Join waits until every goroutine of an ended lane, handlers included, has
// returned. It must not be called from a handler.
func (l *Lane) Join() { l.wg.Wait() }

// spawn runs f on a goroutine that Join waits for; false on a lane that has
// ended.
func (l *Lane) spawn(f func()) bool {
	l.spawning.Lock()
	defer l.spawning.Unlock()
	if l.closed.Load() {
		return false
	}
	l.wg.Go(f)
	return true
}

// fail ends the lane because of err.
func (l *Lane) fail(err error) {
	l.closeOnce.Do(func() {
		l.err = err
		l.spawning.Lock()
		l.closed.Store(true)
		l.spawning.Unlock()
		close(l.done)
		l.bell.close()
		l.wakeSelf()
		l.freed.notify()
		l.aux.stop()
		for i := range l.calls {
			l.calls[i].Load().signal()
		}
		for i := range l.requests {
			for _, q := range []*Request{l.requests[i].Load(), l.switched[i].Load()} {
				if q != nil {
					q.ctx.cancel(context.Canceled)
				}
			}
		}
		go func() {
			l.wg.Wait()
			l.memory.settle()
		}()
		if l.cfg.OnClose != nil {
			go l.cfg.OnClose(err)
		}
	})
}

// closedHere tells whether Close ended the lane, not the other side.
func (l *Lane) closedHere() bool { return l.closed.Load() && l.err == tee.ErrClosed }

// cause is lost, in the words of whoever opened the lane if they have any.
func (l *Lane) cause(err error) error {
	if l.cfg.Cause != nil && !l.closed.Load() {
		return l.cfg.Cause()
	}
	return lost(err)
}

// lost turns the end of the bell into why the lane ended.
func lost(err error) error {
	if err == nil || errors.Is(err, tee.ErrLost) {
		return tee.ErrLost
	}
	return fmt.Errorf("%w: %w", tee.ErrLost, err)
}

// slotPool is the set of free slots.
type slotPool struct {
	free atomic.Uint64
	_    [ring.Line - 8]byte
}

func (p *slotPool) init() { p.free.Store(^uint64(0)) }

// reserve is how many slots are kept for calls nested deeper than level. It
// shrinks with every two levels, so that the deepest call in flight always has
// a slot to wait for that is not held by what waits for it.
func reserve(level uint8) int { return 16 >> min(level/2, 5) }

// take returns the lowest free slot for a call of a level of nesting, or -1.
func (p *slotPool) take(level uint8) int {
	keep := reserve(level)
	for {
		v := p.free.Load()
		if bits.OnesCount64(v) <= keep {
			return -1
		}
		if p.free.CompareAndSwap(v, v&(v-1)) {
			return bits.TrailingZeros64(v)
		}
	}
}

func (p *slotPool) put(slot int) { p.free.Or(1 << slot) }

// taken is the set of slots in use.
func (p *slotPool) taken() uint64 { return ^p.free.Load() }
