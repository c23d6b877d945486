package boundarytest

import (
	"io"
	"net"
	"testing"

	"github.com/secgear/secgear/sdk/boundarytest/hostile"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
)

// brokenBell is something to write to the stream beside a lane that no honest
// peer writes; the end of the stream follows.
type brokenBell struct {
	name  string
	bytes func(s *suite) []byte
	ends  bool // the lane, before the stream's end
}

// brokenBells end the lane, and nothing else.
var brokenBells = []brokenBell{
	{name: "nothing", bytes: func(*suite) []byte { return nil }},
	{name: "half a header", bytes: func(s *suite) []byte { return s.frame(hostile.FrameCall, 0)[:hostile.FrameHeader/2] }},
	{name: "half a payload", bytes: func(s *suite) []byte { return append(s.frame(hostile.FrameCall, 1000), make([]byte, 500)...) }},
	{name: "the largest payload, missing", bytes: func(s *suite) []byte { return s.frame(hostile.FrameCall, arenaSize) }},
	{name: "a payload above the largest", bytes: func(s *suite) []byte { return s.frame(hostile.FrameCall, arenaSize+1) }, ends: true},
	{name: "a payload of 2 GiB", bytes: func(s *suite) []byte { return s.frame(hostile.FrameAnswer, 1<<31) }, ends: true},
	{name: "a payload of 4 GiB", bytes: func(s *suite) []byte { return s.frame(hostile.FrameCall, 1<<32-1) }, ends: true},
	{name: "a wake-up with a payload", bytes: func(s *suite) []byte { return append(s.frame(hostile.FrameWake, 8), make([]byte, 8)...) }, ends: true},
	{name: "a cancellation with a payload", bytes: func(s *suite) []byte { return append(s.frame(hostile.FrameCancel, 8), make([]byte, 8)...) }, ends: true},
	{name: "kind 0", bytes: func(s *suite) []byte { return s.frame(0, 0) }, ends: true},
	{name: "kind 5", bytes: func(s *suite) []byte { return s.frame(5, 0) }, ends: true},
	{name: "kind 255", bytes: func(s *suite) []byte { return s.frame(255, 0) }, ends: true},
	{name: "slot 64", bytes: func(s *suite) []byte { return s.call(shm.Slots, 1) }, ends: true},
	{name: "slot 255", bytes: func(s *suite) []byte { return s.call(255, 1) }, ends: true},
	{name: "generation 0", bytes: func(s *suite) []byte { return s.call(0, 0) }, ends: true},
	{name: "garbage", bytes: func(s *suite) []byte { return hostile.Random(s.random("garbage"), 10_000) }, ends: true},
	{name: "calls, then garbage", ends: true, bytes: func(s *suite) []byte {
		var b []byte
		for slot := range uint8(shm.Slots) {
			b = append(b, s.call(slot, 1)...)
		}
		return append(b, hostile.Random(s.random("more garbage"), 10_000)...)
	}},
}

// frame is an encoded frame, without its payload.
func (s *suite) frame(kind uint8, n uint32) []byte {
	return hostile.Frame{Kind: kind, Gen: 1, Contract: s.Contract.Contract.ID, Parent: 255, Len: n}.Append(nil)
}

// call is an encoded call of the first method.
func (s *suite) call(slot uint8, gen uint32) []byte {
	m := s.messages[0]
	f := hostile.Frame{
		Kind: hostile.FrameCall, Slot: slot, Gen: gen, Contract: s.Contract.Contract.ID, Parent: 255,
		Method: m.method, Len: uint32(len(m.args)),
	}
	return append(f.Append(nil), m.args...)
}

// breakBell has both roles meet a broken stream.
func (s *suite) breakBell(t *testing.T, b brokenBell) {
	for _, side := range []shm.Role{shm.Host, shm.Enclave} {
		before := measure()
		x, y := net.Pipe()
		region, err := hostile.Memory(regionSize)
		if err != nil {
			t.Fatal(err)
		}
		victim, err := shm.Open(&tee.Lane{Mem: region.Mem, Bell: y}, side, s.mux, shm.Config{Cooperative: true})
		if err != nil {
			t.Fatal(err)
		}
		callers := startCallers(t, s.Calls, victim, 2)
		read := make(chan struct{})
		go func() {
			defer close(read)
			// Whatever the victim says; its end is what counts.
			_, _ = io.Copy(io.Discard, x)
		}()
		// The victim may have closed its end before all was written.
		_, _ = x.Write(b.bytes(s))
		before.checkMemory(t)
		ok := !b.ends || await(t, "the lane's end", victim.Done())
		x.Close()
		ok = ok && await(t, "the lane's end", victim.Done()) && callers.stop(t) && closeLane(t, victim) && await(t, "the stream's end", read)
		if !ok {
			return
		}
		if victim.Err() == nil {
			t.Error("the lane has ended without an error")
		}
		s.honest.check(t)
		if err := region.Free(); err != nil {
			t.Error(err)
		}
	}
	s.checkNewLane(t)
}
