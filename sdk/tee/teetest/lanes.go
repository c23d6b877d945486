package teetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/tee"
)

// sharesMemory tells whether lanes have memory: without it, there are no buffers.
func (s Suite) sharesMemory() bool { return !slices.Contains(s.Lacks, "buffers") }

// testLane: both ends see the same bytes, and hear each other.
func (s Suite) testLane(t *testing.T) {
	e := s.launch(t, Manifest(), 1, s.StateDir(t))
	l, bell := e.Lane(t, 1<<20)
	if !s.sharesMemory() {
		if size := bell.Get("size"); l.Mem != nil || l.Futex || size != "0" {
			t.Errorf("a lane with %d bytes of memory here and %s there, where there is none", len(l.Mem), size)
		}
		return
	}
	if len(l.Mem) != 1<<20 {
		t.Errorf("%d bytes of memory", len(l.Mem))
	}
	for i, b := range l.Mem {
		if b != 0 {
			t.Fatalf("byte %d of a new lane is %d", i, b)
		}
	}
	if got := bell.Get("size"); got != strconv.Itoa(1<<20) {
		t.Errorf("the enclave's end has %s bytes", got)
	}
	if got := bell.Get("futex"); got != strconv.FormatBool(l.Futex) {
		t.Errorf("Futex is %v here, %s there", l.Futex, got)
	}
	copy(l.Mem[4090:], "from-the-host")
	if got := bell.Get("peek", 4090, 13); got != "from-the-host" {
		t.Errorf("the enclave reads %q", got)
	}
	bell.Get("poke", 1<<20-5, "there")
	if got := string(l.Mem[1<<20-5:]); got != "there" {
		t.Errorf("the host reads %q", got)
	}
}

// testLaneSizes: a size that can't be is refused, and harms nothing.
func (s Suite) testLaneSizes(t *testing.T) {
	m := Manifest()
	m.LaneMemory = 4 << 20
	e := s.launch(t, m, 1, s.StateDir(t))
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for _, size := range []int{0, -1, 1, os.Getpagesize() + 1, 4<<20 + os.Getpagesize()} {
		if _, err := e.OpenLane(ctx, size); err == nil {
			t.Errorf("a lane of %d bytes was opened", size)
		}
	}
	_, bell := e.Lane(t, 4<<20)
	if got := bell.Get("echo", "still-there"); got != "still-there" {
		t.Errorf("echo: %q", got)
	}
}

// testManyLanes: lanes opened at the same time are lanes of their own.
func (s Suite) testManyLanes(t *testing.T) {
	m := Manifest()
	e := s.launch(t, m, 1, s.StateDir(t))
	lanes := make([]*tee.Lane, m.Lanes)
	bells := make([]*Talk, m.Lanes)
	var wg sync.WaitGroup
	for i := range lanes {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), Patience)
			defer cancel()
			l, err := e.OpenLane(ctx, 1<<20)
			if err != nil {
				t.Errorf("lane %d: %v", i, err)
				return
			}
			lanes[i], bells[i] = l, NewTalk(t, l.Bell)
		})
	}
	wg.Wait()
	t.Cleanup(func() {
		for _, l := range lanes {
			if l != nil {
				l.Bell.Close()
				l.Release()
			}
		}
	})
	if t.Failed() {
		return
	}
	ask := []any{"peek", 100, 9}
	for i, l := range lanes {
		if s.sharesMemory() {
			copy(l.Mem[100:], fmt.Sprintf("lane-%04d", i))
		}
	}
	for i, bell := range bells {
		want := fmt.Sprintf("lane-%04d", i)
		if !s.sharesMemory() {
			ask = []any{"echo", want}
		}
		if got := bell.Get(ask[0].(string), ask[1:]...); got != want {
			t.Errorf("lane %d reads %q", i, got)
		}
	}
	if got := e.Control.Get("lanes"); got != strconv.Itoa(len(lanes)) {
		t.Errorf("the enclave accepted %s lanes of %d", got, len(lanes))
	}
}

// testLaneEnds: a lane closed here ends there, the others go on, and the place
// is free again; one given up while it is opened is no trouble.
func (s Suite) testLaneEnds(t *testing.T) {
	m := Manifest()
	m.Lanes = 2
	e := s.launch(t, m, 1, s.StateDir(t))
	_, keep := e.Lane(t, 1<<20)
	for range 3 * m.Lanes {
		l, bell := e.Lane(t, 1<<20)
		if got := bell.Get("echo", "a"); got != "a" {
			t.Errorf("echo: %q", got)
		}
		if err := l.Bell.Close(); err != nil {
			t.Error(err)
		}
	}
	for i := range 10 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*100*time.Microsecond)
		l, err := e.OpenLane(ctx, 1<<20)
		cancel()
		switch {
		case err == nil:
			l.Bell.Close()
			l.Release()
		case !errors.Is(err, context.DeadlineExceeded):
			t.Errorf("a lane given up: %v", err)
		}
	}
	if got := keep.Get("echo", "still-there"); got != "still-there" {
		t.Errorf("echo: %q", got)
	}
}
