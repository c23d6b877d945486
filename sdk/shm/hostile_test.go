package shm

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/boundarytest/hostile"
	"github.com/secgear/secgear/sdk/internal/ring"
	"github.com/secgear/secgear/sdk/tee"
)

// The suite for contracts (package boundarytest) attacks lanes by what any
// contract's messages can carry. The tests here are about what it can't see:
// buffers, large results, and what a lane keeps.

const (
	hostileArena = 256 << 10
	hostileSize  = ring.HeaderSize + 2*hostileArena
)

// attacked is a lane with an attacker at the other end.
type attacked struct {
	*hostile.Peer
	t       *testing.T
	lane    *Lane
	memory  *hostile.Guarded
	settled uint32
}

// attack opens a lane for side and gives its other end to an attacker.
func attack(t *testing.T, side Role, h Handler, cfg Config) *attacked {
	t.Helper()
	if !hostile.RaceSafe {
		t.Skip("skipped with the race detector: this system lacks memory that it leaves alone")
	}
	memory, err := hostile.Memory(hostileSize)
	if err != nil {
		t.Fatal(err)
	}
	x, y := net.Pipe()
	cfg.Cooperative = true
	p, err := hostile.NewPeer(&tee.Lane{Mem: memory.Mem, Bell: x}, side.Peer())
	if err != nil {
		t.Fatal(err)
	}
	a := &attacked{Peer: p, t: t, memory: memory}
	a.lane = open(t, &tee.Lane{Mem: memory.Mem, Bell: y}, side, h, cfg)
	t.Cleanup(func() {
		x.Close()
		a.lane.Close()
		a.lane.Join()
		if err := memory.Check(); err != nil {
			t.Error(err)
		}
		if err := memory.Free(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// listen reads the bell until the lane's end.
func (a *attacked) listen() { go a.Frames(func(hostile.Frame, []byte) {}) }

// until waits for done; taking very long is a failure.
func (a *attacked) until(what string, done func() bool) {
	a.t.Helper()
	for begun := time.Now(); !done(); runtime.Gosched() {
		if time.Since(begun) > 20*time.Second {
			a.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// submit submits s and wakes the victim.
func (a *attacked) submit(s ring.Submission, args []byte) {
	a.t.Helper()
	a.until("room for a submission", a.Free)
	a.Submit(s, args)
	if err := a.Kick(); err != nil {
		a.t.Fatal(err)
	}
}

// call submits a call and waits for its answer, of which it returns the status.
func (a *attacked) call(s ring.Submission, args []byte) uint32 {
	a.t.Helper()
	a.submit(s, args)
	a.until("an answer", func() bool { return a.Answered(int(s.Slot), s.Gen) })
	return a.Status(int(s.Slot))
}

// take waits for the victim's next submission.
func (a *attacked) take() ring.Submission {
	a.t.Helper()
	var s ring.Submission
	a.until("a submission", func() bool { return a.Take(&s) })
	return s
}

// Every length and offset of arguments is answered, and what lies outside the
// arena is refused.
func TestHostileArguments(t *testing.T) {
	p := &pair{}
	a := attack(t, Enclave, p, Config{})
	a.listen()
	numbers := hostile.Numbers(hostileArena, hostileSize, ring.InlineArgs)
	gen := uint32(0)
	try := func(kind ring.Kind, n, off uint64) {
		gen++
		s := ring.Submission{Gen: gen, Method: echo, Kind: kind, Len: uint32(n), Offset: off, Parent: ring.NoParent}
		status := a.call(s, nil)
		binary.LittleEndian.PutUint32(a.Ack(0), gen)
		legal := s.Len <= ring.InlineArgs
		if kind == ring.KindArena {
			legal = uint64(s.Len) <= hostileArena && off <= hostileArena-uint64(s.Len)
		}
		if (status == 0) != legal {
			t.Fatalf("kind %d, %d bytes at %#x: status %d", kind, s.Len, off, status)
		}
	}
	for _, n := range numbers {
		try(ring.KindInline, n, 0)
		for _, m := range []uint64{0, 1, 4096, hostileArena} {
			try(ring.KindArena, n, m)
			try(ring.KindArena, m, n)
			try(ring.KindArena, m, n-m)
			try(ring.KindArena, n, hostileArena-n)
		}
	}
	if n := a.lane.copied.Load(); n != 0 {
		t.Errorf("%d bytes of arguments are still accounted for", n)
	}
}

// Every length and offset of results ends the call, and what lies outside the
// arena is refused.
func TestHostileResults(t *testing.T) {
	a := attack(t, Host, &pair{}, Config{})
	a.listen()
	numbers := hostile.Numbers(hostileArena, hostileSize, ring.InlineResults)
	try := func(arena bool, n, off uint64) {
		c, err := start(t.Context(), a.lane, echo, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := a.take()
		a.Reply(int(s.Slot), s.Gen, ring.Reply{Len: uint32(n), Offset: off, Arena: arena}, nil)
		got, err := finish(c, c.Ticket())
		n &= 1<<32 - 1
		legal := n <= ring.InlineResults
		if arena {
			legal = n <= hostileArena && off <= hostileArena-n
		}
		switch {
		case legal && (err != nil || uint64(len(got)) != n):
			t.Fatalf("arena %v, %d bytes at %#x: got %d, %v", arena, n, off, len(got), err)
		case !legal && !errors.Is(err, ErrProtocol):
			t.Fatalf("arena %v, %d bytes at %#x: got %d, %v", arena, n, off, len(got), err)
		}
	}
	for _, n := range numbers {
		try(false, n, 0)
		for _, m := range []uint64{0, 1, hostileArena} {
			try(true, n, m)
			try(true, m, n)
			try(true, m, n-m)
			try(true, n, hostileArena-n)
		}
	}
}

// A reply to any other generation than that of the call in flight is none.
func TestHostileGenerations(t *testing.T) {
	a := attack(t, Host, &pair{}, Config{})
	a.listen()
	for range 10 {
		c, err := start(t.Context(), a.lane, echo, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := a.take()
		done := make(chan struct{})
		var got []byte
		go func() {
			defer close(done)
			got, err = finish(c, c.Ticket())
		}()
		for bit := range 32 {
			a.Reply(int(s.Slot), s.Gen^1<<bit, ring.Reply{Len: 5}, []byte("wrong"))
			runtime.Gosched()
		}
		a.Reply(int(s.Slot), s.Gen, ring.Reply{Len: 5}, []byte("right"))
		<-done
		if err != nil || string(got) != "right" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

// A call in a slot whose handler is still running is not handled, whatever its
// generation, and the one that runs is the one that is answered.
func TestHostileBusySlot(t *testing.T) {
	p := &pair{gate: make(chan struct{})}
	a := attack(t, Enclave, p, Config{})
	a.listen()
	open := sync.OnceFunc(func() { close(p.gate) })
	t.Cleanup(open)
	busy := ring.Submission{Gen: 7, Method: gate, Slot: 3, Len: 4, Parent: ring.NoParent}
	a.submit(busy, []byte("gate"))
	a.until("the handler", func() bool { return p.running.Load() == 1 })
	a.submit(ring.Submission{Kind: ring.KindCancel, Slot: 3, Gen: 7}, nil)
	for gen := range uint32(200) {
		s := busy
		s.Gen, s.Method = gen, echo
		a.submit(s, nil)
	}
	// Whatever was submitted is behind us once this is answered.
	a.call(ring.Submission{Gen: 1, Method: echo, Slot: 4, Parent: ring.NoParent}, nil)
	if n := p.running.Load(); n != 1 {
		t.Errorf("%d handlers are running", n)
	}
	if word := binary.LittleEndian.Uint32(a.Answer(3)); word != 0 {
		t.Errorf("generation %d of the busy slot was answered", word)
	}
	open()
	a.until("the answer", func() bool { return a.Answered(3, 7) })
	if string(a.Answer(3)[16:20]) != "gate" {
		t.Errorf("answered with %q", a.Answer(3)[16:20])
	}
}

// A handler that answers nothing answers nothing: not what was answered in its
// slot before.
func TestNoStaleResults(t *testing.T) {
	a := attack(t, Enclave, handlerFunc(func(_ context.Context, q *Request) {
		if len(q.Args()) > 0 {
			respond(q, make([]byte, 10*len(q.Args())))
		}
	}), Config{})
	a.listen()
	gen := uint32(0)
	for _, n := range []int{0, 1, 11, 50, 96} {
		for _, n := range []int{n, 0} {
			gen++
			a.call(ring.Submission{Gen: gen, Len: uint32(n), Parent: ring.NoParent}, make([]byte, n))
			if got := binary.LittleEndian.Uint32(a.Answer(0)[4:]); int(got) != 10*n {
				t.Errorf("%d bytes answered, want %d", got, 10*n)
			}
		}
	}
}

// bufferHandler writes to the buffers that it is given, and keeps them.
type bufferHandler struct {
	mu   sync.Mutex
	kept []Buffer
}

func (h *bufferHandler) ServeCall(_ context.Context, q *Request) {
	if err := q.Err(); err != nil {
		q.Fail(9, err.Error())
		return
	}
	args := q.Args()
	b, err := q.Borrow(Ref{Arena: binary.LittleEndian.Uint32(args), Len: binary.LittleEndian.Uint32(args[4:]), Off: binary.LittleEndian.Uint64(args[8:])})
	if err != nil {
		q.Fail(9, err.Error())
		return
	}
	mem, err := b.Shared()
	if err != nil {
		q.Fail(8, err.Error())
		return
	}
	for i := 0; i < len(mem); i += max(1, len(mem)-1) { // the first and the last
		mem[i]++
	}
	if err := b.Free(); err == nil && b.Len() > 0 {
		q.Fail(7, "freed a borrowed buffer")
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept = append(h.kept, b)
}

// A reference to a buffer is good for a range of an arena and for nothing else,
// and not for longer than the call.
func TestHostileBufferArguments(t *testing.T) {
	h := &bufferHandler{}
	a := attack(t, Enclave, h, Config{})
	a.listen()
	numbers := hostile.Numbers(hostileArena, hostileSize)
	gen := uint32(0)
	try := func(arena uint32, n, off uint64) {
		gen++
		args := binary.LittleEndian.AppendUint32(nil, arena)
		args = binary.LittleEndian.AppendUint32(args, uint32(n))
		args = binary.LittleEndian.AppendUint64(args, off)
		n &= 1<<32 - 1
		legal := arena <= 1 && n > 0 && n <= hostileArena && off <= hostileArena-n || arena == 0 && n == 0 && off == 0
		status := a.call(ring.Submission{Gen: gen, Len: 16, Parent: ring.NoParent}, args)
		if legal != (status == 0) {
			t.Fatalf("arena %d, %d bytes at %#x: status %d", arena, n, off, status)
		}
	}
	for _, arena := range []uint32{0, 1, 2, 3, 1 << 31, 1<<32 - 1} {
		for _, n := range numbers {
			try(arena, n, 0)
			try(arena, 1, n)
			try(arena, 4096, n)
			try(arena, n, hostileArena-n)
			try(arena, n, hostileArena-n+1)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.kept {
		if _, err := b.Shared(); b.Len() > 0 && !errors.Is(err, ErrReleased) {
			t.Fatalf("a buffer of %d bytes was kept: %v", b.Len(), err)
		}
	}
}

// A result is no way to get hold of memory that is not the peer's to give.
func TestHostileBufferResults(t *testing.T) {
	a := attack(t, Host, &pair{}, Config{})
	a.listen()
	for _, n := range hostile.Numbers(hostileArena, hostileSize) {
		for _, arena := range []uint32{0, 1, 2, 1<<32 - 1} {
			for _, r := range []Ref{{arena, uint32(n), 0}, {arena, 1, n}, {arena, uint32(n), hostileArena - n}} {
				c, err := start(t.Context(), a.lane, echo, false, nil)
				if err != nil {
					t.Fatal(err)
				}
				s := a.take()
				a.Reply(int(s.Slot), s.Gen, ring.Reply{}, nil)
				if _, err := c.Wait(c.Ticket()); err != nil {
					t.Fatal(err)
				}
				b, err := c.Borrow(r)
				c.End()
				legal := r == Ref{} || Role(r.Arena) == Enclave && r.Len > 0 && r.Len <= hostileArena && r.Off <= hostileArena-uint64(r.Len)
				if legal != (err == nil) {
					t.Fatalf("%+v: %v", r, err)
				}
				if err != nil {
					continue
				}
				mem, err := b.Shared()
				if err != nil || len(mem) != int(r.Len) {
					t.Fatalf("%+v: %d bytes, %v", r, len(mem), err)
				}
				if len(mem) > 0 {
					mem[0], mem[len(mem)-1] = 1, 2
				}
				if err := b.Free(); err != nil {
					t.Fatal(err)
				}
				var free ring.Submission
				if r.Len > 0 {
					free = a.take()
				}
				if free.Offset != r.Off {
					t.Fatalf("%+v was freed as %+v", r, free)
				}
			}
		}
	}
}

// giver returns a buffer of its side.
type giver struct{}

func (giver) ServeCall(ctx context.Context, q *Request) {
	b, err := q.lane.NewBuffer(ctx, 1000)
	if err != nil {
		q.Fail(1, err.Error())
		return
	}
	r, err := q.Lend(b)
	if err != nil {
		q.Fail(2, err.Error())
		return
	}
	out, err := q.Results(8)
	if err != nil {
		q.Fail(3, err.Error())
		return
	}
	binary.LittleEndian.PutUint64(out, r.Off)
}

// Freeing what was never given, or twice, frees nothing.
func TestHostileFrees(t *testing.T) {
	a := attack(t, Enclave, giver{}, Config{})
	a.listen()
	own, err := a.lane.NewBuffer(t.Context(), 5000)
	if err != nil {
		t.Fatal(err)
	}
	const each = 1024 // what 1000 bytes take
	before := a.lane.arena.InUse()
	var given []uint64
	for gen := uint32(1); gen <= 20; gen++ {
		if status := a.call(ring.Submission{Gen: gen, Parent: ring.NoParent}, nil); status != 0 {
			t.Fatalf("status %d", status)
		}
		given = append(given, binary.LittleEndian.Uint64(a.Answer(0)[16:]))
	}
	for range 3 {
		for _, off := range hostile.Numbers(hostileArena) {
			if !slices.Contains(given[1:], off) {
				a.submit(ring.Submission{Kind: ring.KindFree, Offset: off}, nil)
			}
		}
		a.submit(ring.Submission{Kind: ring.KindFree, Offset: given[0]}, nil)
		a.submit(ring.Submission{Kind: ring.KindFree, Offset: own.ref().Off}, nil)
	}
	a.until("the frees", func() bool { return a.Taken(a.Next() - 1) })
	a.call(ring.Submission{Gen: 100, Method: echo, Slot: 1, Kind: ring.KindArena, Len: 1 << 31, Parent: ring.NoParent}, nil)
	if got, want := a.lane.arena.InUse(), before+20*each; got != want {
		t.Errorf("%d bytes in use, want %d", got, want) // 20 given, one freed, one more
	}
	if _, err := own.Shared(); err != nil {
		t.Errorf("the victim's own buffer: %v", err)
	}
}

// A peer that neither reads nor acknowledges large results does not make its
// victim remember more and more requests to do so.
//
// Before, each attempt to find memory added one: some thousand a second, for
// each handler that waited.
func TestHostileHostTakesNothing(t *testing.T) {
	a := attack(t, Enclave, &pair{}, Config{})
	a.listen()
	for range 1000 {
		a.lane.reclaim()
	}
	l := a.lane
	l.aux.mu.Lock()
	if n := len(l.aux.waiting) + len(l.aux.unread); n != 1 {
		t.Errorf("%d requests to drain are kept, want 1", n)
	}
	l.aux.mu.Unlock()
	most := l.aux.most(l)
	for range 2 * most {
		l.aux.send(l, ring.Submission{Kind: ring.KindCancel})
	}
	l.aux.mu.Lock()
	defer l.aux.mu.Unlock()
	if n := len(l.aux.waiting); n > most {
		t.Errorf("%d notices are kept, want at most %d", n, most)
	}
}

// A request to drain is repeated once the last one has been read.
func TestDrainIsRepeated(t *testing.T) {
	a := attack(t, Enclave, &pair{}, Config{})
	a.listen()
	for range 3 {
		a.lane.reclaim()
		if s := a.take(); s.Kind != ring.KindDrain {
			t.Fatalf("got %+v", s)
		}
	}
}

// Large arguments are held up to the size of the arena that an honest peer has
// for them; calls beyond that are refused.
func TestHostileArgumentsAreBounded(t *testing.T) {
	p := &pair{gate: make(chan struct{})}
	a := attack(t, Enclave, p, Config{})
	a.listen()
	open := sync.OnceFunc(func() { close(p.gate) })
	t.Cleanup(open)
	const calls, size, fit = 20, 50 << 10, 5
	for slot := range uint8(calls) {
		a.submit(ring.Submission{Gen: 1, Method: gate, Slot: slot, Kind: ring.KindArena, Len: size, Parent: ring.NoParent}, nil)
	}
	answered := func() (n int) {
		for slot := range calls {
			if a.Answered(slot, 1) {
				n++
			}
		}
		return n
	}
	a.until("refusals", func() bool { return answered() >= calls-fit })
	a.until("handlers", func() bool { return p.running.Load() == fit })
	if n := a.lane.copied.Load(); n != fit*size {
		t.Errorf("%d bytes are held, want %d", n, fit*size)
	}
	open()
	a.until("all answers", func() bool { return answered() == calls })
	a.until("the account", func() bool { return a.lane.copied.Load() == 0 })
}

// Large results that are never acknowledged make handlers wait, and only those
// of their lane; an end to it is the lane's end.
func TestHostileHostNeverAcknowledges(t *testing.T) {
	p := &pair{}
	a := attack(t, Enclave, p, Config{Workers: 8})
	a.listen()
	honest := newPair(t, Config{})
	for slot := range uint8(Slots) {
		a.submit(ring.Submission{Gen: 1, Method: echo, Slot: slot, Kind: ring.KindArena, Len: 50 << 10, Parent: ring.NoParent}, nil)
	}
	a.until("the workers", func() bool { return p.running.Load() >= 3 })
	if n := p.running.Load(); n > 8 {
		t.Errorf("%d handlers run, 8 may", n)
	}
	if n := a.lane.copied.Load(); n > hostileArena {
		t.Errorf("%d bytes of arguments are held, the arena is %d", n, hostileArena)
	}
	for i := range 100 {
		if _, err := do(t.Context(), honest.host, echo, pattern(i)); err != nil {
			t.Fatal(err)
		}
	}
	a.lane.Close()
	a.lane.Join()
	if n := p.running.Load(); n != 0 {
		t.Errorf("%d handlers are left", n)
	}
}

// A peer that claims that its switched calls are nested in one of the victim's,
// and reads no answers, gets no more goroutines than an honest one could have.
//
// Before, each such call had one, as nested ones are not queued: without end,
// since a slot is free again before its answer is written.
func TestHostileNestedSwitchedCalls(t *testing.T) {
	p := &pair{}
	a := attack(t, Enclave, p, Config{Workers: 2})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := do(ctx, a.lane, echo, nil); err == nil {
			t.Error("a call was answered by nobody")
		}
	})
	parent := a.take()
	for i := range 1000 {
		slot := i % Slots
		f := hostile.Frame{Kind: hostile.FrameCall, Slot: uint8(slot), Gen: uint32(i + 1), Method: echo, Parent: parent.Slot, ParentGen: parent.Gen}
		for begun := time.Now(); a.lane.switched[slot].Load() != nil && time.Since(begun) < 100*time.Millisecond; {
			runtime.Gosched()
		}
		if a.lane.switched[slot].Load() != nil {
			break // it waits in the queue
		}
		if err := a.Send(f, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n, most := int(a.lane.workers.Load()), 2+1+Slots; n > most {
		t.Errorf("%d goroutines serve, want at most %d", n, most)
	}
	cancel()
	a.lane.Close()
	wg.Wait()
}

// Switched calls whose arguments are too much at a time are refused one by one.
//
// Before, the lane ended, though each of them was legal.
func TestManyLargeSwitchedCalls(t *testing.T) {
	p := newPair(t, Config{})
	var wg sync.WaitGroup
	var refused atomic.Int32
	for range 4 {
		wg.Go(func() {
			c, err := start(t.Context(), p.host, gate, true, make([]byte, 1<<20))
			if err != nil {
				t.Error(err)
				return
			}
			var s *statusError
			if got, err := finish(c, c.Ticket()); errors.As(err, &s) {
				refused.Add(1)
			} else if err != nil || len(got) != 1<<20 {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	for refused.Load() < 3 && p.host.Err() == nil {
		runtime.Gosched()
	}
	close(p.gate)
	wg.Wait()
	if n := refused.Load(); n != 3 {
		t.Errorf("%d calls were refused, want 3: the arena holds one", n)
	}
	if _, err := do(t.Context(), p.host, echo, nil); err != nil {
		t.Error(err)
	}
}

// A poller whose call's context has ended, or whose lane, does not take what is
// submitted: there may be no end to it.
//
// Before, it looked at the context only when there was nothing to take.
func TestHostileFloodDoesNotHoldThePoller(t *testing.T) {
	a := attack(t, Host, &pair{}, Config{})
	a.listen()
	ctx, cancel := context.WithCancel(t.Context())
	c, err := start(ctx, a.lane, echo, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	parent := a.take()
	cancel()
	a.until("the poll lock", func() bool { ok, _ := a.lane.poll.tryCaller(); return ok })
	first := a.Next()
	for slot := range uint8(10) {
		a.Submit(ring.Submission{Kind: ring.KindCancel}, nil)
		a.Submit(ring.Submission{Gen: 1, Slot: slot, Method: echo, Parent: parent.Slot, ParentGen: parent.Gen}, nil)
	}
	if what, _ := a.lane.pollFor(c); what != pollStopped {
		t.Errorf("a caller came upon %d", what)
	}
	if _, err := finish(c, c.Ticket()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	a.lane.Close()
	a.lane.Join()
	a.until("the poll lock", a.lane.poll.tryWorker)
	next := first
	for a.Taken(next) {
		next++
	}
	a.lane.pollServe(false)
	if a.Taken(next) && next != a.Next() {
		t.Error("a worker of a closed lane took a submission")
	}
}

// An answer over the bell is none to a call that was made through memory and
// given up.
//
// Before, it freed the slot, and the account of calls that somebody must look
// after was wrong from then on.
func TestHostileAnswerTheWrongWay(t *testing.T) {
	a := attack(t, Host, &pair{}, Config{})
	a.listen()
	ctx, cancel := context.WithCancel(t.Context())
	c, err := start(ctx, a.lane, echo, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := a.take()
	cancel()
	if _, err := finish(c, c.Ticket()); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for range 3 { // the first one is dealt with when the last one is read
		if err := a.Send(hostile.Frame{Kind: hostile.FrameAnswer, Slot: s.Slot, Gen: s.Gen}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if a.lane.slots.taken() == 0 {
		t.Error("the slot is free")
	}
	a.Reply(int(s.Slot), s.Gen, ring.Reply{}, nil)
	a.until("the slot", func() bool {
		if err := a.Kick(); err != nil {
			t.Fatal(err)
		}
		return a.lane.slots.taken() == 0
	})
	a.until("the account", func() bool { return a.lane.parked.Load() == 0 })
}

// A context may be ended while it begins anew: a closing lane does so, and a
// peer that cancels over the bell what it called through memory.
//
// Before, that was a data race.
func TestContextEndsWhileItBegins(t *testing.T) {
	q := newRequest(nil)
	var wg sync.WaitGroup
	var over atomic.Bool
	wg.Go(func() {
		for !over.Load() {
			q.ctx.cancel(context.Canceled)
			runtime.Gosched()
		}
	})
	for range 1000 {
		q.ctx.begin(0)
		runtime.Gosched()
	}
	over.Store(true)
	wg.Wait()
	q.ctx.begin(0)
	if err := q.ctx.Err(); err != nil {
		t.Errorf("a context that has begun: %v", err)
	}
}

// A lane that was closed is done with, though its peer goes on to submit.
//
// Before, a worker that found another submission ready each time it looked did
// not look at anything else.
func TestHostileFloodAfterClose(t *testing.T) {
	a := attack(t, Enclave, &pair{}, Config{})
	a.listen()
	var over atomic.Bool
	var taken atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for !over.Load() {
			if a.Free() {
				a.Submit(ring.Submission{Kind: ring.KindCancel}, nil)
				taken.Add(1)
			}
			_ = a.Kick() // fails when the lane is closed
		}
	})
	a.until("submissions to be taken", func() bool { return taken.Load() > 10*hostile.Entries })
	a.lane.Close()
	a.lane.Join()
	over.Store(true)
	wg.Wait()
}

// The lane's memory is given back when the lane is closed and nothing of it is
// in use, and not before.
func TestReleaseAfterClose(t *testing.T) {
	mem := ring.Alloc(ring.MinSize)
	x, y := net.Pipe()
	defer x.Close()
	released := make(chan struct{})
	b := func() Buffer {
		lane, err := Open(&tee.Lane{Mem: mem, Bell: y, Release: func() { close(released) }}, Host, &pair{}, Config{Cooperative: true})
		if err != nil {
			t.Fatal(err)
		}
		b, err := lane.NewBuffer(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		lane.Close()
		lane.Join()
		return b
	}()
	for range 5 {
		runtime.GC()
	}
	select {
	case <-released:
		t.Fatal("the memory was released while a buffer was in use")
	default:
	}
	if _, err := b.WriteAt([]byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	b = Buffer{}
	for begun := time.Now(); ; {
		runtime.GC()
		select {
		case <-released:
			return
		default:
		}
		if time.Since(begun) > 20*time.Second {
			t.Fatal("the memory was not released")
		}
	}
}
