package shm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/tee"
)

// handlerFunc adapts a function to Handler.
type handlerFunc func(ctx context.Context, q *Request)

func (f handlerFunc) ServeCall(ctx context.Context, q *Request) { f(ctx, q) }

// The methods of the test contract.
const (
	echo = iota
	fail
	block  // until the context ends
	nested // calls depth-1 levels back and forth
	gate   // until released
)

var methodNames = [...]string{"echo", "fail", "block", "nested", "gate"}

// MethodName makes the test contract known to statistics.
func (p *pair) MethodName(contract uint32, method uint16) (string, string, bool) {
	if contract != 1 || int(method) >= len(methodNames) {
		return "", "", false
	}
	return "test", methodNames[method], true
}

// pair is a lane with both ends in this process, each serving the test
// contract.
type pair struct {
	host, enclave *Lane
	gate          chan struct{}
	entered       chan struct{} // hears of each handler that blocks
	running       atomic.Int32
}

func (p *pair) enter() {
	select {
	case p.entered <- struct{}{}:
	default: // nobody counts them
	}
}

// await waits until n handlers have blocked.
func (p *pair) await(n int) {
	for range n {
		<-p.entered
	}
}

func newPair(t testing.TB, cfg Config) *pair {
	t.Helper()
	p := &pair{gate: make(chan struct{}), entered: make(chan struct{}, 1000)}
	a, b := Pipe(4 << 20)
	cfg.Cooperative = true
	p.host = open(t, a, Host, p, cfg)
	p.enclave = open(t, b, Enclave, p, cfg)
	t.Cleanup(func() {
		p.host.Close()
		p.enclave.Close()
		p.host.Join()
		p.enclave.Join()
	})
	return p
}

func open(t testing.TB, l *tee.Lane, side Role, h Handler, cfg Config) *Lane {
	t.Helper()
	lane, err := Open(l, side, h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return lane
}

func (p *pair) ServeCall(ctx context.Context, q *Request) {
	p.running.Add(1)
	defer p.running.Add(-1)
	if q.Err() != nil {
		q.Fail(9, q.Err().Error())
		return
	}
	switch q.Method() {
	case echo:
		respond(q, q.Args())
	case fail:
		q.Fail(7, string(q.Args()))
	case block:
		p.enter()
		<-ctx.Done()
		q.Fail(8, ctx.Err().Error())
	case nested:
		depth := binary.LittleEndian.Uint32(q.Args())
		if depth > 0 {
			arg := binary.LittleEndian.AppendUint32(nil, depth-1)
			got, err := do(ctx, q.lane, nested, arg)
			if err != nil {
				q.Fail(6, err.Error())
				return
			}
			depth = binary.LittleEndian.Uint32(got) + 1
		}
		respond(q, binary.LittleEndian.AppendUint32(nil, depth))
	case gate:
		p.enter()
		<-p.gate
		respond(q, q.Args())
	}
}

func respond(q *Request, b []byte) {
	out, err := q.Results(len(b))
	if err != nil {
		q.Fail(5, err.Error())
		return
	}
	copy(out, b)
}

// statusError is an answer that isn't a success.
type statusError struct {
	status uint32
	text   string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.status, e.text) }

func start(ctx context.Context, l *Lane, method uint16, switched bool, args []byte) (*Call, error) {
	c, err := l.Begin(ctx, 1, method, switched, len(args))
	if err != nil {
		return nil, err
	}
	if c.Unnamed() {
		c.Name("test", methodNames[method])
	}
	copy(c.Args(), args)
	return c, c.Start()
}

func finish(c *Call, ticket uint32) ([]byte, error) {
	a, err := c.Wait(ticket)
	if err != nil {
		return nil, err
	}
	defer c.End()
	if a.Status != 0 {
		return nil, &statusError{a.Status, string(a.Payload)}
	}
	return append([]byte(nil), a.Payload...), nil
}

func do(ctx context.Context, l *Lane, method uint16, args []byte) ([]byte, error) {
	c, err := start(ctx, l, method, false, args)
	if err != nil {
		return nil, err
	}
	return finish(c, c.Ticket())
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

func TestEcho(t *testing.T) {
	p := newPair(t, Config{})
	for _, lane := range []*Lane{p.host, p.enclave} {
		for _, switched := range []bool{false, true} {
			for _, n := range []int{0, 1, 64, 96, 97, 112, 113, 4096, 4097, 100_000, 1 << 20} {
				t.Run(fmt.Sprintf("side=%d/switched=%v/%d", lane.side, switched, n), func(t *testing.T) {
					c, err := start(t.Context(), lane, echo, switched, pattern(n))
					if err != nil {
						t.Fatal(err)
					}
					got, err := finish(c, c.Ticket())
					if err != nil || !bytes.Equal(got, pattern(n)) {
						t.Fatalf("got %d bytes, %v", len(got), err)
					}
				})
			}
		}
	}
}

func TestFailureCarriesStatusAndText(t *testing.T) {
	p := newPair(t, Config{})
	for _, n := range []int{0, 10, 112, 113, 1024} {
		_, err := do(t.Context(), p.host, fail, pattern(n))
		var s *statusError
		if !errors.As(err, &s) || s.status != 7 || s.text != string(pattern(n)) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestTooLarge(t *testing.T) {
	p := newPair(t, Config{})
	if _, err := p.host.Begin(t.Context(), 1, echo, false, 3<<20); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Begin: %v", err)
	}
	if _, err := p.host.NewBuffer(t.Context(), 3<<20); !errors.Is(err, ErrTooLarge) {
		t.Errorf("NewBuffer: %v", err)
	}
}

func TestNestedCalls(t *testing.T) {
	p := newPair(t, Config{Workers: 1})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			depth := uint32(4 + i)
			got, err := do(t.Context(), p.host, nested, binary.LittleEndian.AppendUint32(nil, depth))
			if err != nil || binary.LittleEndian.Uint32(got) != depth {
				t.Errorf("depth %d: %v, %v", depth, got, err)
			}
		})
	}
	wg.Wait()
}

func TestManyCallers(t *testing.T) {
	p := newPair(t, Config{})
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			for k := range 200 {
				b := pattern((i*31 + k*7) % 6000)
				got, err := do(t.Context(), p.host, echo, b)
				if err != nil || !bytes.Equal(got, b) {
					t.Errorf("caller %d, call %d: %d of %d bytes, %v", i, k, len(got), len(b), err)
					return
				}
			}
		})
	}
	wg.Wait()
	if p.host.slots.taken() != 0 {
		t.Errorf("slots still taken: %x", p.host.slots.taken())
	}
	if n := p.host.arena.InUse(); n != 0 {
		t.Errorf("%d bytes of the arena still in use", n)
	}
}

func TestStartManyWaitLater(t *testing.T) {
	p := newPair(t, Config{})
	type flight struct {
		c      *Call
		ticket uint32
	}
	var all []flight
	const n = 5 * Slots
	for i := range n {
		c, err := start(t.Context(), p.host, echo, false, pattern(i*13))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, flight{c, c.Ticket()})
	}
	for i, f := range all {
		got, err := finish(f.c, f.ticket)
		if err != nil || !bytes.Equal(got, pattern(i*13)) {
			t.Fatalf("call %d: %d bytes, %v", i, len(got), err)
		}
	}
}

func TestWaitTwice(t *testing.T) {
	p := newPair(t, Config{})
	c, err := start(t.Context(), p.host, echo, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	ticket := c.Ticket()
	if _, err := finish(c, ticket); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Wait(ticket); !errors.Is(err, ErrWaited) {
		t.Errorf("second Wait: %v", err)
	}
	if _, err := do(t.Context(), p.host, echo, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Wait(ticket); !errors.Is(err, ErrWaited) {
		t.Errorf("Wait after the slot was used again: %v", err)
	}
}

func TestCancel(t *testing.T) {
	for _, switched := range []bool{false, true} {
		t.Run(fmt.Sprintf("switched=%v", switched), func(t *testing.T) {
			p := newPair(t, Config{})
			ctx, cancel := context.WithCancel(t.Context())
			c, err := start(ctx, p.host, block, switched, pattern(200))
			if err != nil {
				t.Fatal(err)
			}
			p.await(1)
			cancel()
			if _, err := c.Wait(c.Ticket()); !errors.Is(err, context.Canceled) {
				t.Fatalf("Wait: %v", err)
			}
			for p.running.Load() != 0 || p.host.slots.taken() != 0 {
				if _, err := do(t.Context(), p.host, echo, nil); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestDeadlineReachesHandler(t *testing.T) {
	p := newPair(t, Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := do(ctx, p.host, block, nil); !errors.Is(err, context.DeadlineExceeded) {
		var s *statusError
		if !errors.As(err, &s) || s.text != context.DeadlineExceeded.Error() {
			t.Fatal(err)
		}
	}
	for p.running.Load() != 0 {
		do(t.Context(), p.host, echo, nil)
	}
	if _, err := do(ctx, p.host, echo, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call after its deadline: %v", err)
	}
}

func TestSlotsExhausted(t *testing.T) {
	p := newPair(t, Config{})
	var wg sync.WaitGroup
	const n = Slots - 16 // what is not kept for nested calls
	for range n {
		wg.Go(func() {
			if _, err := do(t.Context(), p.host, gate, nil); err != nil {
				t.Error(err)
			}
		})
	}
	p.await(n)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := do(ctx, p.host, echo, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call with no slot free: %v", err)
	}
	wg.Go(func() {
		if _, err := do(t.Context(), p.host, echo, nil); err != nil {
			t.Error(err)
		}
	})
	close(p.gate)
	wg.Wait()
}

func TestWorkersBound(t *testing.T) {
	p := newPair(t, Config{Workers: 4})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := do(t.Context(), p.host, gate, nil); err != nil {
				t.Error(err)
			}
		})
	}
	p.await(3)
	if n := p.running.Load(); n > 4 {
		t.Errorf("%d handlers run at a time", n)
	}
	close(p.gate)
	wg.Wait()
}

func TestCloseFailsCallsInFlight(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(p *pair)
		want error
	}{
		{"own", func(p *pair) { p.host.Close() }, tee.ErrClosed},
		{"peer", func(p *pair) { p.enclave.Close() }, tee.ErrLost},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t, Config{})
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() {
					cl, err := start(t.Context(), p.host, gate, i%2 == 0, nil)
					if err == nil {
						_, err = finish(cl, cl.Ticket())
					}
					if !errors.Is(err, c.want) {
						t.Errorf("call %d: %v", i, err)
					}
				})
			}
			p.await(10)
			c.end(p)
			wg.Wait()
			close(p.gate)
			<-p.host.Done()
			if _, err := do(t.Context(), p.host, echo, nil); !errors.Is(err, c.want) {
				t.Errorf("a call after the end: %v", err)
			}
		})
	}
}

func BenchmarkEcho64InProcess(b *testing.B) {
	p := newPair(b, Config{})
	arg := pattern(64)
	b.ReportAllocs()
	for b.Loop() {
		c, err := p.host.Begin(context.Background(), 1, echo, false, len(arg))
		if err != nil {
			b.Fatal(err)
		}
		copy(c.Args(), arg)
		c.Start()
		if _, err := c.Wait(c.Ticket()); err != nil {
			b.Fatal(err)
		}
		c.End()
	}
}
