package shm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/secgear/secgear/sdk/internal/ring"
)

// Buffer is a range of memory shared by the two sides of a lane. Passing one to
// a call copies nothing.
//
// The other side can change the bytes at any moment, also while this side has
// the buffer to itself: decide on nothing that is read twice. Copy what is to be
// checked or authenticated to private memory first ([Buffer.ReadAt]), in pieces
// that fit a cache if it is large, and work on the copy.
//
// A buffer passed as an argument is lent: until the call is over, its owner's
// accesses fail with [ErrLent], and the handler's fail with [ErrReleased] once
// the handler has returned. A buffer returned as a result changes hands: who
// receives it frees it.
//
// The zero Buffer is empty. Buffers may be copied; methods are safe for
// concurrent use.
type Buffer struct {
	h      *handle
	gen    uint32
	off, n uint32 // within the handle's range
}

// handle is one side's hold on a range of an arena.
type handle struct {
	lane *Lane
	side Role   // whose arena
	off  uint64 // in it
	n    uint32
	hold hold

	// word is generation<<32 | number of loans. A Buffer of another
	// generation has been released.
	word atomic.Uint64
}

type hold uint8

const (
	holdOwn      hold = iota // allocated by this side
	holdReceived             // given by the other side
	holdBorrowed             // lent by the other side
)

// NewBuffer allocates n bytes, which the other side can see, from this side's
// part of the lane, waiting for them to become free, bounded by ctx. The bytes
// are what earlier calls on this lane left there. Free gives them back.
func (l *Lane) NewBuffer(ctx context.Context, n int) (Buffer, error) {
	switch {
	case l.region == nil:
		return Buffer{}, fmt.Errorf("shared buffers: this lane has no shared memory: %w", errors.ErrUnsupported)
	case l.closed.Load():
		return Buffer{}, l.err
	case n < 0:
		return Buffer{}, fmt.Errorf("a buffer of %d bytes", n)
	case n > math.MaxUint32:
		return Buffer{}, tooLarge(n, l.region.ArenaSize())
	case n == 0:
		return Buffer{}, nil
	}
	off, err := l.allocate(ctx, n)
	if err != nil {
		return Buffer{}, err
	}
	h := &handle{lane: l, side: l.side, off: off, n: uint32(n), hold: holdOwn}
	return Buffer{h: h, n: uint32(n)}, nil
}

// Len is the number of bytes.
func (b Buffer) Len() int { return int(b.n) }

// Slice returns the n bytes from off, of the same ownership: freeing either
// frees both.
func (b Buffer) Slice(off, n int) (Buffer, error) {
	if off < 0 || n < 0 || off > int(b.n) || n > int(b.n)-off {
		return Buffer{}, fmt.Errorf("slice of %d bytes at %d of a buffer of %d: %w", n, off, b.n, io.ErrUnexpectedEOF)
	}
	b.off, b.n = b.off+uint32(off), uint32(n)
	return b, nil
}

// Shared returns the shared memory itself: it must not be used after the buffer
// was released, lent or given away, nor after the lane was closed, and its
// content may change between any two reads. ReadAt and WriteAt are what is
// needed nearly always.
func (b Buffer) Shared() ([]byte, error) {
	if b.h == nil {
		return nil, nil
	}
	w := b.h.word.Load()
	switch {
	case uint32(w>>32) != b.gen:
		return nil, ErrReleased
	case uint32(w) != 0:
		return nil, ErrLent
	}
	mem, ok := b.h.lane.region.Arena(b.h.side, b.h.off+uint64(b.off), b.n)
	if !ok {
		return nil, ErrProtocol
	}
	return mem, nil
}

// ReadAt copies from the buffer into p, as [io.ReaderAt].
func (b Buffer) ReadAt(p []byte, off int64) (int, error) {
	mem, err := b.at(off)
	if err != nil {
		return 0, err
	}
	n := copy(p, mem)
	runtime.KeepAlive(b.h) // or the memory could be unmapped meanwhile
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt copies p into the buffer, as [io.WriterAt]. A write past the end
// writes nothing.
func (b Buffer) WriteAt(p []byte, off int64) (int, error) {
	mem, err := b.at(off)
	if err != nil {
		return 0, err
	}
	if len(p) > len(mem) {
		return 0, fmt.Errorf("writing %d bytes at %d of a buffer of %d: %w", len(p), off, b.n, io.ErrShortWrite)
	}
	n := copy(mem, p)
	runtime.KeepAlive(b.h)
	return n, nil
}

// at returns the memory from off on.
func (b Buffer) at(off int64) ([]byte, error) {
	if off < 0 {
		return nil, fmt.Errorf("offset %d in a buffer", off)
	}
	mem, err := b.Shared()
	if err != nil {
		return nil, err
	}
	return mem[min(off, int64(len(mem))):], nil
}

// Free gives the memory back to whoever allocated it. Freeing twice, or what is
// borrowed or lent, is an error.
func (b Buffer) Free() error {
	h := b.h
	switch {
	case h == nil:
		return nil
	case h.hold == holdBorrowed:
		return fmt.Errorf("freeing a borrowed buffer: %w", ErrLent)
	}
	if err := h.retire(b.gen); err != nil {
		return err
	}
	if h.hold == holdOwn {
		h.lane.arena.Free(h.off)
		h.lane.freed.notify()
		return nil
	}
	h.lane.aux.send(h.lane, ring.Submission{Kind: ring.KindFree, Offset: h.off})
	return nil
}

// retire ends generation gen of an unlent handle.
func (h *handle) retire(gen uint32) error {
	for {
		w := h.word.Load()
		switch {
		case uint32(w>>32) != gen:
			return ErrReleased
		case uint32(w) != 0:
			return ErrLent
		}
		if h.word.CompareAndSwap(w, uint64(gen+1)<<32) {
			return nil
		}
	}
}

// ref is b on the wire: an empty slice of a buffer is like the zero Buffer.
func (b Buffer) ref() Ref {
	if b.n == 0 {
		return Ref{}
	}
	return Ref{Arena: uint32(b.h.side), Len: b.n, Off: b.h.off + uint64(b.off)}
}

// lend hands b to a call on lane l.
func (b Buffer) lend(l *Lane) (Ref, error) {
	if b.h == nil {
		return Ref{}, nil
	}
	if b.h.lane != l {
		return Ref{}, errOtherLane
	}
	for {
		w := b.h.word.Load()
		if uint32(w>>32) != b.gen {
			return Ref{}, ErrReleased
		}
		if b.h.word.CompareAndSwap(w, w+1) {
			return b.ref(), nil
		}
	}
}

var errOtherLane = errors.New("the buffer belongs to another lane: allocate it from the enclave that is called")

// comeBack ends one loan.
func (h *handle) comeBack() { h.word.Add(^uint64(0)) }

// expire ends the loan of a borrowed handle: Buffers that a handler kept are
// released.
func (h *handle) expire() { h.word.Store((h.word.Load()>>32 + 1) << 32) }

// give hands b, a result, to the other side of lane l for good.
func (b Buffer) give(l *Lane) (Ref, error) {
	switch {
	case b.h == nil:
		return Ref{}, nil
	case b.h.lane != l:
		return Ref{}, errOtherLane
	case b.h.hold != holdOwn:
		return Ref{}, fmt.Errorf("returning a buffer that this side did not allocate: %w", ErrLent)
	}
	if err := b.h.retire(b.gen); err != nil {
		return Ref{}, err
	}
	if b.n == 0 { // the receiver could not free it
		l.arena.Free(b.h.off)
		l.freed.notify()
		return Ref{}, nil
	}
	l.exports.add(b.ref().Off, export{off: b.h.off})
	return b.ref(), nil
}

// borrow resolves a reference in the arguments of a call.
func (l *Lane) borrow(r Ref) (Buffer, error) { return l.resolve(r, holdBorrowed) }

// received resolves a reference in results.
func (l *Lane) received(r Ref) (Buffer, error) {
	if r.Len != 0 && Role(r.Arena) != l.side.Peer() {
		return Buffer{}, fmt.Errorf("%w: a result in this side's arena", ErrProtocol)
	}
	return l.resolve(r, holdReceived)
}

func (l *Lane) resolve(r Ref, how hold) (Buffer, error) {
	if r == (Ref{}) {
		return Buffer{}, nil
	}
	if l.region == nil {
		return Buffer{}, fmt.Errorf("shared buffers: %w", errors.ErrUnsupported)
	}
	if _, ok := l.region.Arena(Role(r.Arena), r.Off, r.Len); !ok || r.Len == 0 {
		return Buffer{}, fmt.Errorf("%w: a buffer outside the arena", ErrProtocol)
	}
	h := &handle{lane: l, side: Role(r.Arena), off: r.Off, n: r.Len, hold: how}
	return Buffer{h: h, n: r.Len}, nil
}

// exports are the ranges of this side's arena that the other side owns, by
// where each begins to be visible.
type exports struct {
	mu sync.Mutex
	m  map[uint64]export
}

// export is where a range was allocated, and for n bytes of which stream, if
// any.
type export struct {
	off    uint64
	stream *Stream
	n      int
}

func (e *exports) add(visible uint64, x export) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.m == nil {
		e.m = make(map[uint64]export)
	}
	e.m[visible] = x
}

// free frees what the other side gives back; what it does not own is ignored.
func (e *exports) free(l *Lane, visible uint64) {
	e.mu.Lock()
	x, ok := e.m[visible]
	delete(e.m, visible)
	e.mu.Unlock()
	if !ok {
		return
	}
	l.arena.Free(x.off)
	l.freed.notify()
	if x.stream != nil {
		l.streams.cameBack(x.stream, x.n)
	}
}
