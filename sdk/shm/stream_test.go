package shm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/secgear/secgear/sdk/tee"
)

// streamPair is a pair whose sides both listen.
func streamPair(t testing.TB) *pair {
	return newPair(t, Config{Listeners: new(Listeners)})
}

// listenOn listens on a side of p until the test ends.
func listenOn(t testing.TB, l *Lane, name string) net.Listener {
	t.Helper()
	ln, err := l.cfg.Listeners.Listen(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// connect returns both ends of a stream that a dials to b.
func connect(t testing.TB, a, b *Lane) (x, y *Stream) {
	t.Helper()
	ln := listenOn(t, b, "test")
	defer ln.Close()
	x, err := a.DialStream(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return x, c.(*Stream)
}

// idle fails the test unless both sides have nothing of streams left.
func idle(t *testing.T, p *pair) {
	t.Helper()
	for _, l := range []*Lane{p.host, p.enclave} {
		waitFor(t, "streams to be gone", func() bool {
			l.streams.mu.Lock()
			defer l.streams.mu.Unlock()
			return len(l.streams.open) == 0 && l.streams.used == 0 && len(l.streams.line) == 0 && l.arena.InUse() == 0
		})
	}
}

// echoStreams answers what is read from each stream with itself, until ln and
// the streams end.
func echoStreams(ln net.Listener) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			io.Copy(c, c)
			c.Close()
		})
	}
}

// TestStreamIsConn is the suite that Go's own connections pass.
func TestStreamIsConn(t *testing.T) {
	for _, dialler := range []Role{Host, Enclave} {
		t.Run(fmt.Sprint(dialler), func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				p := streamPair(t)
				a, b := p.host, p.enclave
				if dialler == Enclave {
					a, b = b, a
				}
				x, y := connect(t, a, b)
				return x, y, func() {
					x.Close()
					y.Close()
				}, nil
			})
		})
	}
}

// TestStreamCarries: what is written, in pieces of any size, arrives whole, both
// ways at the same time, and nothing is left behind.
func TestStreamCarries(t *testing.T) {
	p := streamPair(t)
	x, y := connect(t, p.host, p.enclave)
	const total = 8 << 20
	send := func(s *Stream, seed uint64) [32]byte {
		r, sum := rand.New(rand.NewPCG(seed, 1)), sha256.New()
		for n := 0; n < total; {
			b := make([]byte, min(total-n, 1+r.IntN(200_000)))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			sum.Write(b)
			if k, err := s.Write(b); k != len(b) || err != nil {
				t.Errorf("wrote %d of %d: %v", k, len(b), err)
				break
			}
			n += len(b)
		}
		if err := s.CloseWrite(); err != nil {
			t.Error(err)
		}
		return [32]byte(sum.Sum(nil))
	}
	receive := func(s *Stream) [32]byte {
		sum := sha256.New()
		b := make([]byte, 50_000)
		for {
			n, err := s.Read(b[:1+rand.IntN(len(b))])
			sum.Write(b[:n])
			if err == io.EOF {
				return [32]byte(sum.Sum(nil))
			}
			if err != nil {
				t.Error(err)
				return [32]byte{}
			}
		}
	}
	var sums [4][32]byte
	var wg sync.WaitGroup
	wg.Go(func() { sums[0] = send(x, 1) })
	wg.Go(func() { sums[1] = receive(y) })
	wg.Go(func() { sums[2] = send(y, 2) })
	wg.Go(func() { sums[3] = receive(x) })
	wg.Wait()
	if sums[0] != sums[1] || sums[2] != sums[3] {
		t.Error("what arrived is not what was sent")
	}
	if _, err := x.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("writing after CloseWrite: %v", err)
	}
	if s := p.host.Stats(); s.Streams != 1 || s.StreamsOpened != 1 || s.StreamReadBytes != total || s.StreamWrittenBytes != total {
		t.Errorf("counted %d open, %d opened, %d read, %d written", s.Streams, s.StreamsOpened, s.StreamReadBytes, s.StreamWrittenBytes)
	}
	x.Close()
	y.Close()
	idle(t, p)
}

// TestStreamEnds: what each kind of end looks like to the other side.
func TestStreamEnds(t *testing.T) {
	read := func(s *Stream) (string, error) {
		b, err := io.ReadAll(s)
		return string(b), err
	}
	tests := []struct {
		name string
		do   func(t *testing.T, p *pair, x, y *Stream)
	}{
		{"data before close is read", func(t *testing.T, p *pair, x, y *Stream) {
			x.Write([]byte("last words"))
			x.Close()
			if got, err := read(y); got != "last words" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			if _, err := y.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("write: %v", err)
			}
		}},
		{"half-close", func(t *testing.T, p *pair, x, y *Stream) {
			x.Write([]byte("question"))
			x.CloseWrite()
			if got, err := read(y); got != "question" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			y.Write([]byte("answer"))
			y.Close()
			if got, err := read(x); got != "answer" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		}},
		{"use after close", func(t *testing.T, p *pair, x, y *Stream) {
			x.Close()
			for what, err := range map[string]error{
				"read":     second(x.Read(make([]byte, 1))),
				"write":    second(x.Write(make([]byte, 1))),
				"close":    x.Close(),
				"deadline": x.SetDeadline(time.Now()),
			} {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("%s: %v", what, err)
				}
			}
		}},
		{"the lane ends", func(t *testing.T, p *pair, x, y *Stream) {
			x.Write([]byte("before"))
			waitFor(t, "the data", func() bool { y.mu.Lock(); defer y.mu.Unlock(); return len(y.inbox) > 0 })
			p.host.Close()
			if _, err := x.Read(make([]byte, 1)); !errors.Is(err, tee.ErrClosed) {
				t.Errorf("here: %v", err)
			}
			got, err := read(y)
			if got != "before" || !errors.Is(err, tee.ErrLost) {
				t.Errorf("there: %q, %v", got, err)
			}
			if _, err := y.Write([]byte("x")); !errors.Is(err, tee.ErrLost) {
				t.Errorf("writing there: %v", err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := streamPair(t)
			x, y := connect(t, p.host, p.enclave)
			tt.do(t, p, x, y)
			x.Close()
			y.Close()
			if p.host.Err() == nil {
				idle(t, p)
			}
		})
	}
}

func second(_ int, err error) error { return err }

// TestDialRefused: each reason, and that nothing is left of it.
func TestDialRefused(t *testing.T) {
	p := streamPair(t)
	if _, err := p.host.DialStream(t.Context(), "nobody"); !errors.Is(err, ErrRefused) {
		t.Errorf("nobody listens: %v", err)
	}
	for _, name := range []string{"", "UP", "a b", "a--b", string(make([]byte, 65))} {
		if _, err := p.host.DialStream(t.Context(), name); err == nil || errors.Is(err, ErrRefused) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	listenOn(t, p.enclave, "there")
	if _, err := p.host.DialStream(ctx, "there"); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("context over: %v", err)
	}
	bell := newPair(t, Config{})
	if _, err := bell.host.DialStream(t.Context(), "there"); !errors.Is(err, ErrRefused) {
		t.Errorf("without listeners: %v", err)
	}
}

// TestListen: a name is taken once, and free again after Close.
func TestListen(t *testing.T) {
	ls := new(Listeners)
	a, err := ls.Listen("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ls.Listen("a"); err == nil {
		t.Error("taken twice")
	}
	if _, err := ls.Listen("A"); err == nil {
		t.Error("not a name")
	}
	if a.Addr().String() != "a" || a.Addr().Network() != network {
		t.Error(a.Addr())
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := a.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
	if _, err := a.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
	if a, err = ls.Listen("a"); err != nil {
		t.Fatal(err)
	}
	ls.End(tee.ErrLost)
	if _, err := a.Accept(); !errors.Is(err, tee.ErrLost) {
		t.Errorf("accept after the end: %v", err)
	}
	if _, err := ls.Listen("b"); !errors.Is(err, tee.ErrLost) {
		t.Errorf("listen after the end: %v", err)
	}
}

// TestSlowReaders: streams that nobody reads stop neither calls nor each other.
func TestSlowReaders(t *testing.T) {
	p := streamPair(t)
	ln := listenOn(t, p.enclave, "slow")
	var stuck []*Stream
	var wg sync.WaitGroup
	for range 64 {
		s, err := p.host.DialStream(t.Context(), "slow")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ln.Accept(); err != nil {
			t.Fatal(err)
		}
		stuck = append(stuck, s)
		wg.Go(func() {
			b := make([]byte, 1<<20)
			if n, err := s.Write(b); err == nil {
				t.Errorf("wrote %d bytes that nobody reads", n)
			}
		})
	}
	waitFor(t, "the arena's share to be used up", func() bool {
		p.host.streams.mu.Lock()
		defer p.host.streams.mu.Unlock()
		return p.host.streams.used >= p.host.streams.pool-maxPiece
	})
	x, y := connect(t, p.host, p.enclave)
	want := bytes.Repeat([]byte("0123456789"), 20_000)
	wg.Go(func() {
		if _, err := x.Write(want); err != nil {
			t.Error(err)
		}
		x.Close()
	})
	if got, err := io.ReadAll(y); !bytes.Equal(got, want) || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if got, err := do(t.Context(), p.host, echo, want); !bytes.Equal(got, want) || err != nil {
		t.Errorf("a large call: %v", err)
	}
	for _, s := range stuck {
		s.Close()
	}
	wg.Wait()
}

// TestFullArena: a stream waits for what calls and buffers hold of the arena, and
// goes on when it comes back, though nothing of any stream's was on its way.
func TestFullArena(t *testing.T) {
	p := streamPair(t)
	x, y := connect(t, p.host, p.enclave)
	var held []Buffer
	for n := 1 << 20; n >= 128; n /= 2 {
		for {
			off, ok := p.host.arena.Alloc(n)
			if !ok {
				break
			}
			held = append(held, Buffer{h: &handle{lane: p.host, side: Host, off: off, n: uint32(n)}, n: uint32(n)})
		}
	}
	x.SetWriteDeadline(time.Now().Add(5 * time.Millisecond))
	if n, err := x.Write([]byte("no room")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("wrote %d into a full arena: %v", n, err)
	}
	x.SetWriteDeadline(time.Time{})
	done := make(chan error, 1)
	go func() {
		_, err := x.Write([]byte("waited"))
		done <- errors.Join(err, x.CloseWrite())
	}()
	for _, b := range held {
		if err := b.Free(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(y); string(got) != "waited" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestLine: who gives up in the line for room, called or not, leaves its turn to
// the next.
func TestLine(t *testing.T) {
	p := streamPair(t)
	ls := &p.host.streams
	var s [3]*Stream
	for i := range s {
		s[i] = newStream(p.host, streamKey{id: uint32(i), mine: true}, "line")
	}
	called := func(i int) bool {
		select {
		case <-s[i].writable:
			return true
		default:
			return false
		}
	}
	for i := range s {
		ls.wait(s[i])
	}
	ls.leaveLine(s[0]) // waiting
	if called(1) || called(2) {
		t.Error("somebody was called without there being room")
	}
	ls.callNext()
	if !called(1) {
		t.Error("the second was not called")
	}
	ls.leaveLine(s[1]) // called, and gave up
	if !called(2) {
		t.Error("the third's turn was lost")
	}
	if len(ls.line) != 0 {
		t.Errorf("%d in line", len(ls.line))
	}
}

// TestManyStreams: as many as the lane holds, all open at once; one more is
// refused; all are gone in the end.
func TestManyStreams(t *testing.T) {
	p := streamPair(t)
	ln := listenOn(t, p.enclave, "many")
	go echoStreams(ln)
	var all []*Stream
	for range p.host.streams.most {
		s, err := p.host.DialStream(t.Context(), "many")
		if err != nil {
			t.Fatal(len(all), err)
		}
		all = append(all, s)
	}
	if _, err := p.host.DialStream(t.Context(), "many"); !errors.Is(err, ErrRefused) {
		t.Errorf("one more: %v", err)
	}
	var wg sync.WaitGroup
	for i, s := range all {
		wg.Go(func() {
			want := fmt.Sprintf("stream %d", i)
			io.WriteString(s, want)
			s.CloseWrite()
			if got, err := io.ReadAll(s); string(got) != want || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			s.Close()
		})
	}
	wg.Wait()
	idle(t, p)
}

// waitFor waits until done.
func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for begun := time.Now(); !done(); runtime.Gosched() {
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
