package shm

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/boundarytest/hostile"
	"github.com/secgear/secgear/sdk/internal/ring"
)

// say submits what an attacker says about a stream that it dialled, or about one
// of the victim's.
func (a *attacked) say(op uint16, id uint32, victims bool, off uint64, n uint32) {
	a.t.Helper()
	s := ring.Submission{Kind: ring.KindStream, Method: op, Gen: id, Offset: off, Len: n}
	if victims {
		s.Slot = 1
	}
	a.submit(s, nil)
}

// settle waits until the victim has dealt with everything: a call comes last.
func (a *attacked) settle() {
	a.t.Helper()
	a.settled++
	if status := a.call(ring.Submission{Gen: a.settled, Method: echo, Slot: 5, Parent: ring.NoParent}, nil); status != 0 {
		a.t.Fatalf("a call: status %d", status)
	}
}

// dialIn has the attacker dial the victim's listener as stream id.
func (a *attacked) dialIn(ln net.Listener, id uint32) *Stream {
	a.t.Helper()
	const name = "victim"
	copy(a.Arena(a.Side), name)
	a.say(streamOpen, id, false, 0, uint32(len(name)))
	c, err := ln.Accept()
	if err != nil {
		a.t.Fatal(err)
	}
	return c.(*Stream)
}

func attackStreams(t *testing.T) (*attacked, net.Listener) {
	t.Helper()
	cfg := Config{Listeners: new(Listeners)}
	a := attack(t, Enclave, &pair{}, cfg)
	a.listen()
	ln, err := cfg.Listeners.Listen("victim")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return a, ln
}

// Ranges of data anywhere: what lies in the arena is read, nothing else ever is.
func TestHostileStreamRanges(t *testing.T) {
	a, ln := attackStreams(t)
	s := a.dialIn(ln, 1)
	numbers := hostile.Numbers(hostileArena, hostileSize, maxPiece)
	legal := 0
	for _, n := range numbers {
		for _, off := range append(numbers, hostileArena-n) {
			ok := off <= hostileArena && uint64(uint32(n)) <= hostileArena-off && uint32(n) != 0
			a.say(streamData, 1, false, off, uint32(n))
			a.settle()
			s.mu.Lock()
			queued := len(s.inbox)
			s.mu.Unlock()
			if (queued == 1) != ok {
				t.Fatalf("%d bytes at %#x: %d queued", uint32(n), off, queued)
			}
			if ok {
				legal++
				got := make([]byte, uint32(n))
				if _, err := io.ReadFull(s, got); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if legal == 0 {
		t.Error("no range was legal")
	}
}

// A flood of data, of dials and of nonsense is bounded.
func TestHostileStreamFlood(t *testing.T) {
	a, ln := attackStreams(t)
	s := a.dialIn(ln, 1)
	for range 10 * maxPieces {
		a.say(streamData, 1, false, 0, 1)
	}
	a.settle()
	s.mu.Lock()
	if n := len(s.inbox); n != maxPieces {
		t.Errorf("%d pieces are queued, want %d", n, maxPieces)
	}
	s.mu.Unlock()
	for id := range uint32(3 * a.lane.streams.most) {
		a.say(streamOpen, id+2, false, 0, 6)
	}
	a.settle()
	a.lane.streams.mu.Lock()
	if n := len(a.lane.streams.open); n > a.lane.streams.most {
		t.Errorf("%d streams are open, want at most %d", n, a.lane.streams.most)
	}
	a.lane.streams.mu.Unlock()
	if _, err := s.Write([]byte("still there")); err != nil {
		t.Error(err)
	}
}

// Answers and ends that nobody asked for change nothing, and credit that is not
// due gives none.
func TestHostileStreamOrder(t *testing.T) {
	a, ln := attackStreams(t)
	s := a.dialIn(ln, 7)
	for _, op := range []uint16{0, streamAccept, streamRefuse, streamClose + 1, 1<<16 - 1} {
		a.say(op, 7, false, 0, 0)
		a.say(op, 7, true, 0, 0)
	}
	for _, op := range []uint16{streamData, streamEnd, streamClose} {
		a.say(op, 8, false, 0, 1) // never dialled
		a.say(op, 7, true, 0, 1)  // not the victim's
	}
	a.say(streamOpen, 7, false, 0, 6) // in use
	a.say(streamOpen, 9, true, 0, 6)  // the victim's to choose
	for off := range uint64(100) {
		a.submit(ring.Submission{Kind: ring.KindFree, Offset: off * ring.Line}, nil)
	}
	a.settle()
	if n := a.lane.streams.used; n != 0 {
		t.Errorf("%d bytes in flight", n)
	}
	s.SetDeadline(time.Now().Add(-time.Second))
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	s.SetDeadline(time.Time{})
	n, err := s.Write(make([]byte, 2000))
	if n != 2000 || err != nil {
		t.Errorf("write: %d, %v", n, err)
	}
	a.say(streamClose, 7, false, 0, 0)
	a.say(streamClose, 7, false, 0, 0)
	a.say(streamData, 7, false, 0, 1)
	a.settle()
	if got, err := io.ReadAll(s); len(got) != 0 || err != nil {
		t.Errorf("after close: %d bytes, %v", len(got), err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("after close: %v", err)
	}
}

// A peer that gives nothing back holds up the writer, whose deadline holds, and
// nobody else.
func TestHostileReader(t *testing.T) {
	a, ln := attackStreams(t)
	s := a.dialIn(ln, 1)
	written := 0
	for {
		s.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		n, err := s.Write(make([]byte, 1<<20))
		written += n
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("wrote %d: %v", n, err)
		}
		if n == 0 && written > 0 { // else the machine was too busy to begin
			break
		}
	}
	if written > window {
		t.Errorf("%d bytes were written", written)
	}
	if s.inFlight > window || a.lane.streams.used > a.lane.streams.pool+a.lane.streams.share {
		t.Errorf("%d bytes in flight", a.lane.streams.used)
	}
	a.lane.Close()
}

// FuzzStreams: whatever a peer says about streams, the lane goes on.
func FuzzStreams(f *testing.F) {
	f.Add(uint64(1), []byte{1, 2, 3, 4, 5, 6})
	f.Add(uint64(2), []byte{1, 4, 4, 4, 5, 6, 4, 1})
	f.Fuzz(func(t *testing.T, seed uint64, ops []byte) {
		if len(ops) > 200 {
			return
		}
		a, ln := attackStreams(t)
		var wg sync.WaitGroup
		wg.Go(func() { echoStreams(ln) })
		t.Cleanup(func() {
			ln.Close()
			a.lane.Close()
			wg.Wait()
		})
		r := rand.New(rand.NewPCG(seed, 1))
		copy(a.Arena(a.Side), "victim")
		numbers := hostile.Numbers(hostileArena, maxPiece)
		for _, op := range ops {
			off, n := uint64(0), uint32(6)
			if op&0x80 != 0 {
				off, n = numbers[r.IntN(len(numbers))], uint32(numbers[r.IntN(len(numbers))])
			}
			a.say(uint16(op&7), uint32(op>>3&3), op&0x40 != 0, off, n)
		}
		a.settle()
	})
}
