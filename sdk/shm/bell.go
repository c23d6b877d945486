package shm

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/secgear/secgear/sdk/internal/ring"
	"github.com/secgear/secgear/sdk/tee"
)

// bell is the stream beside a lane: switched calls, and wake-ups where there
// is no futex. Its end is the end of the lane.
//
// Each frame is a header of 32 bytes and len bytes of payload:
//
//	 0 kind     uint8   1 call, 2 answer, 3 cancel, 4 wake
//	 1 slot     uint8   of the call
//	 2 method   uint16  call
//	 4 gen      uint32  generation of the slot
//	 8 contract uint32  call; answer: status
//	12 len      uint32  bytes that follow
//	16 pgen     uint32  call: generation of the parent
//	20 parent   uint8   call: slot of the parent, or 255
//	21 level    uint8   call: how many calls it is nested in
//	22 flags    uint8   call: as in a submission
//	23 –        zero
//	24 timeout  uint32  call: microseconds left, 0 unbounded
//	28 –        4 bytes zero
type bell struct {
	lane  *Lane
	conn  net.Conn
	futex bool
	wake  chan struct{}

	mu  sync.Mutex // one frame at a time
	out []byte     // of the frame being written
}

const (
	bellHeader = 32

	frameCall   = 1
	frameAnswer = 2
	frameCancel = 3
	frameWake   = 4

	// maxBellPayload bounds messages on lanes without shared memory.
	maxBellPayload = 64 << 20
	// readStep bounds what is allocated before the bytes for it have come.
	readStep = 256 << 10
	// keepFrame bounds the memory kept for writing frames.
	keepFrame = 64 << 10
)

type frame struct {
	kind, slot, parent, level uint8
	flags                     uint8
	method                    uint16
	gen, pgen                 uint32
	contract, timeout         uint32
	n                         uint32
}

func newBell(l *Lane, t *tee.Lane) *bell {
	return &bell{lane: l, conn: t.Bell, futex: t.Futex && ring.HasFutex, wake: make(chan struct{}, 1)}
}

func (b *bell) close() { b.conn.Close() }

// maxPayload is the size of the largest message.
func (b *bell) maxPayload() int {
	if b.lane.region != nil {
		return b.lane.region.ArenaSize()
	}
	return maxBellPayload
}

// write sends one frame.
func (b *bell) write(f frame, payload []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := append(b.out[:0], f.kind, f.slot)
	h = binary.LittleEndian.AppendUint16(h, f.method)
	h = binary.LittleEndian.AppendUint32(h, f.gen)
	h = binary.LittleEndian.AppendUint32(h, f.contract)
	h = binary.LittleEndian.AppendUint32(h, uint32(len(payload)))
	h = binary.LittleEndian.AppendUint32(h, f.pgen)
	h = append(h, f.parent, f.level, f.flags, 0)
	h = binary.LittleEndian.AppendUint32(h, f.timeout)
	h = append(h, 0, 0, 0, 0)
	if len(payload) <= keepFrame {
		h = append(h, payload...)
		b.out = h
		_, err := b.conn.Write(h)
		return err
	}
	b.out = h
	if _, err := b.conn.Write(h); err != nil {
		return err
	}
	_, err := b.conn.Write(payload)
	return err
}

func parseFrame(h *[bellHeader]byte) frame {
	return frame{
		kind: h[0], slot: h[1], parent: h[20], level: h[21], flags: h[22],
		method:   binary.LittleEndian.Uint16(h[2:]),
		gen:      binary.LittleEndian.Uint32(h[4:]),
		contract: binary.LittleEndian.Uint32(h[8:]),
		n:        binary.LittleEndian.Uint32(h[12:]),
		pgen:     binary.LittleEndian.Uint32(h[16:]),
		timeout:  binary.LittleEndian.Uint32(h[24:]),
	}
}

// read serves the frames that come until the stream ends, and with it the lane.
func (b *bell) read() {
	r := bufio.NewReaderSize(b.conn, 16<<10)
	for {
		var h [bellHeader]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			b.lane.fail(b.lane.cause(endOfStream(err)))
			return
		}
		if err := b.serve(parseFrame(&h), r); err != nil {
			b.lane.fail(lost(err))
			return
		}
	}
}

// endOfStream returns nil for the end that a closed or dead peer leaves.
func endOfStream(err error) error {
	if err == io.EOF || err == io.ErrClosedPipe {
		return nil
	}
	return err
}

func (b *bell) serve(f frame, r io.Reader) error {
	if int64(f.n) > int64(b.maxPayload()) {
		return fmt.Errorf("%w: a frame of %d bytes", ErrProtocol, f.n)
	}
	switch f.kind {
	case frameCall:
		return b.serveCall(f, r)
	case frameAnswer:
		return b.serveAnswer(f, r)
	case frameCancel:
		b.lane.cancelled(f.slot, f.gen)
	case frameWake:
		b.wakeLocal()
	default:
		return fmt.Errorf("%w: frame of kind %d", ErrProtocol, f.kind)
	}
	if f.n != 0 {
		return fmt.Errorf("%w: a payload where there is none", ErrProtocol)
	}
	return nil
}

// readPayload reads n bytes, allocating no more than has come, by steps.
func readPayload(r io.Reader, n uint32) ([]byte, error) {
	var b []byte
	for len(b) < int(n) {
		step := min(int(n)-len(b), max(readStep, len(b)))
		b = append(b, make([]byte, step)...)
		if _, err := io.ReadFull(r, b[len(b)-step:]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// sendCall sends a switched call.
func (b *bell) sendCall(c *Call) error {
	s := &c.sub
	return b.write(frame{
		kind: frameCall, slot: s.Slot, method: s.Method, gen: s.Gen, contract: s.Contract,
		pgen: s.ParentGen, parent: s.Parent, level: s.Level, flags: s.Flags, timeout: s.Timeout,
	}, c.args)
}

func (b *bell) sendCancel(slot int, gen uint32) {
	// An error ends the lane through read.
	b.write(frame{kind: frameCancel, slot: uint8(slot), gen: gen}, nil)
}

// serveCall runs a switched call.
func (b *bell) serveCall(f frame, r io.Reader) error {
	l := b.lane
	var refused error
	if f.n > scratchSize {
		refused = l.reserve(int(f.n))
	}
	payload, err := l.bell.readArgs(r, f.n, refused)
	if err != nil {
		return err
	}
	if f.slot >= Slots || f.gen == 0 {
		return fmt.Errorf("%w: slot %d", ErrProtocol, f.slot)
	}
	q := newRequest(l)
	q.switched, q.args, q.owned, q.refused = true, payload, true, refused
	q.sub = ring.Submission{
		Gen: f.gen, Contract: f.contract, Method: f.method, Slot: f.slot, Len: f.n,
		ParentGen: f.pgen, Parent: f.parent, Level: f.level, Flags: f.flags, Timeout: f.timeout,
	}
	q.ctx.begin(f.timeout)
	q.gen.Store(f.gen)
	if !l.switched[f.slot].CompareAndSwap(nil, q) {
		return fmt.Errorf("%w: slot %d is in use", ErrProtocol, f.slot)
	}
	l.route(q)
	return nil
}

// readArgs reads n bytes of arguments, or skips them if they are refused.
func (b *bell) readArgs(r io.Reader, n uint32, refused error) ([]byte, error) {
	if refused == nil {
		return readPayload(r, n)
	}
	_, err := io.CopyN(io.Discard, r, int64(n))
	return nil, err
}

// answer sends the answer of a switched call.
func (b *bell) answer(q *Request) {
	f := frame{kind: frameAnswer, slot: q.sub.Slot, gen: q.sub.Gen, contract: q.status}
	b.lane.switched[q.sub.Slot].Store(nil)
	b.write(f, q.results) // an error ends the lane through read
}

// bellAnswer is the answer to a switched call.
type bellAnswer struct {
	Answer
	reserved int   // bytes that count as being read
	err      error // instead of an answer
}

// serveAnswer hands an answer to the call it belongs to, if there is one.
func (b *bell) serveAnswer(f frame, r io.Reader) error {
	c := b.awaiting(f)
	if c == nil {
		_, err := io.CopyN(io.Discard, r, int64(f.n))
		return err
	}
	a := &bellAnswer{Answer: Answer{Status: f.contract, Owned: true}}
	if f.n > scratchSize {
		if a.err = b.lane.reserve(int(f.n)); a.err == nil {
			a.reserved = int(f.n)
		}
	}
	var err error
	if a.Payload, err = b.readArgs(r, f.n, a.err); err != nil {
		return err
	}
	c.fromBell.Store(a)
	c.retireSwitched(f.gen)
	c.signal()
	return nil
}

// awaiting returns the call that waits for the answer f, or nil.
func (b *bell) awaiting(f frame) *Call {
	if f.slot >= Slots {
		return nil
	}
	c := b.lane.calls[f.slot].Load()
	s := c.state.Load()
	if uint32(s>>8) != f.gen || c.fromBell.Load() != nil {
		return nil
	}
	switch s & 0xff {
	case stateSwitched, stateForsaken:
		return c
	}
	return nil
}

func (b *bell) sendWake() {
	b.write(frame{kind: frameWake}, nil) // an error ends the lane through read
}

// wakeLocal wakes this side's sleepers.
func (b *bell) wakeLocal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// sleep waits for a wake-up, at most d.
func (b *bell) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-b.wake:
	case <-t.C:
	case <-b.lane.done:
	}
}
