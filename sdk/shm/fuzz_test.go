package shm

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/boundarytest/hostile"
	"github.com/secgear/secgear/sdk/internal/ring"
	"github.com/secgear/secgear/sdk/tee"
)

// fuzzTime bounds what a fuzzed lane is waited for.
const fuzzTime = 20 * time.Second

// FuzzHostRegion runs a script of writes to the memory of a lane, and of
// operations of both its ends. The victim is the enclave's end, which serves
// calls and makes some; at the host's end is an attacker.
//
// Each step of a script is a byte that says what, and its operands; see step.
func FuzzHostRegion(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 1, 64, 4, 0, 1, 1, 200, 4})              // honest calls
	f.Add([]byte{0, 2, 1, 255, 1, 1, 0, 0, 3, 0, 0, 16, 1, 4})  // a word of the ring
	f.Add([]byte{5, 4, 6, 0, 0, 1, 0, 10, 6, 4, 7, 3, 0, 4, 8}) // a call by the victim, nested ones, replies
	f.Add([]byte{2, 0, 0, 9, 1, 0, 0, 0, 7, 255, 255, 0, 0, 4, 9, 2, 0, 1, 4})
	if !hostile.RaceSafe {
		f.Skip("skipped with the race detector: this system lacks memory that it leaves alone")
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		z := newFuzzedLane(t)
		r := &operands{script}
		for range 100 {
			if len(r.left) == 0 || !z.step(r) {
				break
			}
		}
		z.end()
	})
}

// operands is what is left of a script.
type operands struct{ left []byte }

func (r *operands) byte() byte {
	if len(r.left) == 0 {
		return 0
	}
	b := r.left[0]
	r.left = r.left[1:]
	return b
}

func (r *operands) uint16() uint16 { return uint16(r.byte()) | uint16(r.byte())<<8 }
func (r *operands) uint32() uint32 { return uint32(r.uint16()) | uint32(r.uint16())<<16 }

// offset of a word: mostly in what is no payload.
func (r *operands) offset() int {
	off := int(r.uint32())
	if off&1 == 0 {
		return off % ring.HeaderSize &^ 3
	}
	return off % (hostileSize - 8) &^ 3
}

// fuzzedLane is the lane that a script runs on.
type fuzzedLane struct {
	t      *testing.T
	peer   *hostile.Peer
	lane   *Lane
	memory *hostile.Guarded
	calls  []*Call // the victim's, in flight
	gen    uint32
	ctx    context.Context
	cancel context.CancelFunc
}

func newFuzzedLane(t *testing.T) *fuzzedLane {
	memory, err := hostile.Memory(hostileSize)
	if err != nil {
		t.Fatal(err)
	}
	x, y := net.Pipe()
	z := &fuzzedLane{t: t, memory: memory}
	z.lane = open(t, &tee.Lane{Mem: memory.Mem, Bell: y}, Enclave, fuzzHandler{}, Config{Cooperative: true, Workers: 3, nap: 2 * time.Millisecond})
	if z.peer, err = hostile.NewPeer(&tee.Lane{Mem: memory.Mem, Bell: x}, Host); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, x) }() // until it is closed
	z.ctx, z.cancel = context.WithTimeout(context.Background(), fuzzTime)
	return z
}

// fuzzHandler does what handlers do, whatever its arguments.
type fuzzHandler struct{}

func (fuzzHandler) ServeCall(ctx context.Context, q *Request) {
	if err := q.Err(); err != nil {
		q.Fail(9, err.Error())
		return
	}
	switch q.Method() % 6 {
	case echo:
		respond(q, q.Args())
	case fail:
		q.Fail(7, string(q.Args()))
	case block:
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
	case nested:
		ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		got, err := do(ctx, q.lane, echo, q.Args())
		if err != nil {
			q.Fail(6, err.Error())
			return
		}
		respond(q, got)
	case 4:
		respond(q, make([]byte, hostileArena/3))
	case 5:
		shareBack(ctx, q)
	}
}

// shareBack writes to a buffer among the arguments, and returns another one.
func shareBack(ctx context.Context, q *Request) {
	args := append(append([]byte(nil), q.Args()...), make([]byte, 16)...)
	in, err := q.Borrow(Ref{Arena: uint32(args[0]), Len: binary.LittleEndian.Uint32(args[4:]), Off: binary.LittleEndian.Uint64(args[8:])})
	if err == nil {
		_, err = in.WriteAt(make([]byte, in.Len()), 0)
	}
	if err != nil {
		q.Fail(9, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	out, err := q.lane.NewBuffer(ctx, 4096)
	if err == nil {
		_, err = q.Lend(out)
	}
	if err != nil {
		q.Fail(5, err.Error())
		return
	}
	respond(q, args)
}

// step runs the next step of a script. It returns false when the lane is over.
func (z *fuzzedLane) step(r *operands) bool {
	mem := z.memory.Mem
	switch r.byte() % 10 {
	case 0: // an honest call, not waited for
		z.gen++
		n := int(r.byte())
		s := ring.Submission{Gen: z.gen, Contract: 1, Method: uint16(r.byte() % 6), Slot: uint8(z.gen % Slots), Len: uint32(n), Parent: ring.NoParent}
		if s.Method == block {
			s.Timeout = 1000
		}
		if n > ring.InlineArgs {
			s.Kind, s.Offset = ring.KindArena, uint64(n)*64
		}
		z.peer.Submit(s, make([]byte, min(n, ring.InlineArgs)))
	case 1: // a word
		binary.LittleEndian.PutUint32(mem[r.offset():], r.uint32())
	case 2: // a small word, which most are
		binary.LittleEndian.PutUint32(mem[r.offset():], uint32(r.byte()))
	case 3: // a run of bytes
		off, n := r.offset(), int(r.byte())
		copy(mem[off:], bytes.Repeat([]byte{r.byte()}, n))
	case 4: // time passes
		time.Sleep(time.Duration(r.byte()) * time.Microsecond)
	case 5: // a call by the victim
		z.call(int(r.byte())*8, r.byte()&7 == 0)
	case 6: // a submission of any kind
		s := ring.Submission{
			Gen: uint32(r.byte()), Contract: 1, Method: uint16(r.byte() % 6), Slot: r.byte(), Kind: ring.Kind(r.byte()),
			Len: uint32(r.uint16()), Parent: r.byte(), ParentGen: uint32(r.byte()), Level: r.byte(), Timeout: 1000, Offset: uint64(r.uint32()),
		}
		z.peer.Submit(s, []byte{r.byte(), 0, 0, 0})
	case 7: // a reply of any kind
		a := ring.Reply{Len: uint32(r.uint16()), Status: uint32(r.byte()), Arena: r.byte()&1 == 0, Offset: uint64(r.uint32())}
		z.peer.Reply(int(r.byte()), uint32(r.byte()), a, []byte{r.byte()})
	case 8: // a wake-up
		return z.peer.Kick() == nil
	case 9: // a frame
		f := hostile.Frame{Kind: r.byte() % 6, Slot: r.byte(), Method: uint16(r.byte() % 5), Gen: uint32(r.byte()), Contract: 1, Parent: r.byte(), ParentGen: uint32(r.byte()), Timeout: 1000}
		return z.peer.Send(f, make([]byte, r.byte())) == nil
	}
	return true
}

// call begins a call of the victim's.
func (z *fuzzedLane) call(n int, switched bool) {
	if len(z.calls) == 20 {
		return
	}
	ctx, cancel := context.WithTimeout(z.ctx, 5*time.Millisecond)
	context.AfterFunc(z.ctx, cancel)
	c, err := start(ctx, z.lane, echo, switched, pattern(n))
	if err == nil {
		z.calls = append(z.calls, c)
	} else {
		cancel()
	}
}

// end waits for the victim's calls and closes the lane.
func (z *fuzzedLane) end() {
	for _, c := range z.calls {
		// The answers are the attacker's; that they come to an end is the test.
		_, _ = finish(c, c.Ticket())
	}
	if z.ctx.Err() != nil {
		z.t.Errorf("calls that had 5 ms took %v", fuzzTime)
	}
	z.cancel()
	z.peer.Bell.Close()
	z.lane.Close()
	z.lane.Join()
	if err := z.memory.Check(); err != nil {
		z.t.Error(err)
	}
	if err := z.memory.Free(); err != nil {
		z.t.Error(err)
	}
}

// FuzzBellFrames sends arbitrary bytes over the stream of a lane, with and
// without shared memory, whose end serves calls and waits for one.
func FuzzBellFrames(f *testing.F) {
	for _, kind := range []uint8{0, hostile.FrameCall, hostile.FrameAnswer, hostile.FrameCancel, hostile.FrameWake, 5} {
		for _, n := range []uint32{0, 8, 1 << 31} {
			h := hostile.Frame{Kind: kind, Gen: 1, Contract: 1, Parent: 255, Len: n}.Append(nil)
			f.Add(append(h, make([]byte, n%1024)...))
			f.Add(append(h, h...))
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		for _, size := range []int{0, ring.MinSize} {
			fuzzBell(t, stream, size)
		}
	})
}

func fuzzBell(t *testing.T, stream []byte, size int) {
	t.Helper()
	x, y := net.Pipe()
	end := &tee.Lane{Bell: y}
	if size > 0 {
		end.Mem = ring.Alloc(size)
	}
	// Its context ends what blocks: nobody answers here.
	lane := open(t, end, Host, handlerFunc(func(_ context.Context, q *Request) {
		if len(q.Args()) > 64<<20 {
			t.Error("arguments above what a message may take")
		}
		respond(q, q.Args())
	}), Config{Cooperative: true})
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		_, _ = io.Copy(io.Discard, x) // until it is closed
	}()
	ctx, cancel := context.WithTimeout(context.Background(), fuzzTime)
	defer cancel()
	c, err := start(ctx, lane, echo, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = x.Write(stream) // the victim may have had enough before its end
	x.Close()
	_, _ = finish(c, c.Ticket()) // may have been answered
	if ctx.Err() != nil {
		t.Errorf("the end of a lane did not end a call for %v", fuzzTime)
	}
	lane.Join()
	<-answers
	if lane.Err() == nil {
		t.Error("the stream's end is not the lane's")
	}
	for i := range lane.calls {
		if !lane.calls[i].Load().is(stateIdle) {
			t.Errorf("call %d is left in state %x", i, lane.calls[i].Load().state.Load())
		}
	}
}
