package shm

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/boundarytest/hostile"
	"github.com/secgear/secgear/sdk/internal/ring"
)

// giveBack has the attacker give a range of the victim's arena back.
func (a *attacked) giveBack(off uint64) {
	a.t.Helper()
	a.submit(ring.Submission{Kind: ring.KindFree, Offset: off}, nil)
}

// inFlight are the ranges that the victim's streams have handed over.
func (a *attacked) inFlight() (of map[*Stream][]uint64) {
	a.lane.exports.mu.Lock()
	defer a.lane.exports.mu.Unlock()
	of = make(map[*Stream][]uint64)
	for off, x := range a.lane.exports.m {
		if x.stream != nil {
			of[x.stream] = append(of[x.stream], off)
		}
	}
	return of
}

// books expects that what the victim notes of its streams agrees with what it has
// handed over.
func (a *attacked) books() {
	a.t.Helper()
	all := 0
	a.lane.exports.mu.Lock()
	bytes, pieces := map[*Stream]int{}, map[*Stream]int{}
	for _, x := range a.lane.exports.m {
		if x.stream != nil {
			bytes[x.stream] += x.n
			pieces[x.stream]++
			all += x.n
		}
	}
	a.lane.exports.mu.Unlock()
	for s := range bytes {
		if n, m := flying(s); n != bytes[s] || m != pieces[s] {
			a.t.Errorf("stream %v: %d bytes in %d pieces in flight, handed over were %d in %d", s.key, n, m, bytes[s], pieces[s])
		}
	}
	if n := a.used(); n != all {
		a.t.Errorf("%d bytes in flight, handed over were %d", n, all)
	}
}

// flying is how much of s is in flight.
func flying(s *Stream) (bytes, pieces int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inFlight, s.pieces
}

// used is how much of all streams is in flight.
func (a *attacked) used() int {
	a.lane.streams.mu.Lock()
	defer a.lane.streams.mu.Unlock()
	return a.lane.streams.used
}

// Credit that lies: ranges given back twice, never sent, next to others, in the
// middle of others, or another stream's. Each counts once, for the stream that it
// was sent for, and nothing becomes negative.
func TestHostileCredit(t *testing.T) {
	a, ln := attackStreams(t)
	s, other := a.dialIn(ln, 1), a.dialIn(ln, 2)
	a.settle()
	for round := range 20 {
		for _, stream := range []*Stream{s, other} {
			for i := range 8 {
				if _, err := stream.Write(make([]byte, 1+i*500)); err != nil {
					t.Fatal(err)
				}
			}
		}
		a.books()
		sent := a.inFlight()
		if len(sent[s]) != 8 || len(sent[other]) != 8 {
			t.Fatalf("round %d: %d and %d pieces", round, len(sent[s]), len(sent[other]))
		}
		slices.Sort(sent[s])
		for i, off := range sent[s] {
			a.giveBack(off + 1)
			a.giveBack(off + ring.Line*uint64(1+i)/2)
			a.giveBack(off)
			a.giveBack(off)
			a.giveBack(off | 1<<63)
		}
		for _, n := range hostile.Numbers(hostileArena, hostileSize) {
			if !slices.Contains(sent[other], n) {
				a.giveBack(n)
			}
		}
		a.settle()
		a.books()
		if bytes, pieces := flying(s); bytes != 0 || pieces != 0 || len(a.inFlight()[s]) != 0 {
			t.Fatalf("round %d: %d bytes in %d pieces of the first are left", round, bytes, pieces)
		}
		for _, off := range sent[other] {
			a.giveBack(off)
		}
		a.settle()
		a.books()
		if n := a.used(); n != 0 {
			t.Fatalf("round %d: %d bytes in flight", round, n)
		}
	}
}

// Ranges that overlap, and the same range again and again: the reader gets what they
// hold, and gives back each as often as it came. The writer's lies are the writer's
// loss.
func TestHostileOverlap(t *testing.T) {
	a, ln := attackStreams(t)
	s := a.dialIn(ln, 1)
	arena := a.Arena(a.Side)
	for i := range arena[:1000] {
		arena[i] = byte(i)
	}
	var want []byte
	for i := range uint64(20) {
		off, n := i*13%100, uint32(100+i)
		a.say(streamData, 1, false, off, n)
		want = append(want, arena[off:off+uint64(n)]...)
		if i%3 == 0 {
			a.say(streamData, 1, false, off, n)
			want = append(want, arena[off:off+uint64(n)]...)
		}
	}
	a.settle()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes differ, %v", len(want), err)
	}
	s.SetReadDeadline(time.Now().Add(-time.Second))
	if n, err := s.Read(got); n != 0 || err == nil {
		t.Errorf("%d bytes more, %v", n, err)
	}
}
