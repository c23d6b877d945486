package shm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Stream is a stream of bytes in both directions between the sides of a lane, a
// [net.Conn]. What is written is copied into the lane once, and out of it once
// by whoever reads; no call is made for it.
//
// Written bytes stay in this side's arena until the other side has read them.
// A stream holds at most 256 KiB there, less while there are many of them, and
// Write waits while it does: a reader that is slow holds up nobody but its own
// writer.
//
// What is read was chosen by the other side. Streams are not authenticated to
// anybody but the two processes of the lane: run TLS over them where the host
// is not to read along.
type Stream struct {
	lane *Lane
	key  streamKey
	name string

	queued bool // waits in the table's line for room; the table's to know

	reading, writing   sync.Mutex // one Read, one Write at a time
	readable, writable chan struct{}
	readBy, writeBy    movable

	mu       sync.Mutex
	inbox    []chunk // to be read, oldest first
	skip     int     // bytes of the first that were read
	inFlight int     // bytes written that the other side has not given back
	pieces   int     // in as many chunks
	ended    bool    // the other side writes no more
	finished bool    // this side writes no more
	closed   bool    // by this side
	gone     bool    // closed by the other side
	answer   error   // to dialling, once readable
	answered bool
}

// chunk is a range of the other side's arena.
type chunk struct {
	off uint64
	n   uint32
}

// ErrRefused is matched by the error of dialling a stream that the other side
// does not take.
var ErrRefused = errors.New("stream refused")

// errStreamGone is why nothing can be written any more.
var errStreamGone = fmt.Errorf("closed by the other side: %w", io.ErrClosedPipe)

func newStream(l *Lane, key streamKey, name string) *Stream {
	return &Stream{
		lane: l, key: key, name: name,
		readable: make(chan struct{}, 1),
		writable: make(chan struct{}, 1),
		readBy:   newMovable(),
		writeBy:  newMovable(),
	}
}

// notify lets the one who waits on c look again.
func notify(c chan struct{}) bool {
	select {
	case c <- struct{}{}:
		return true
	default:
		return false
	}
}

// fault names the stream and what was being done to it.
func (s *Stream) fault(doing string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: doing, Net: network, Addr: streamAddr(s.name), Err: err}
}

// Read implements [net.Conn]. Data that came before the lane ended, or the other
// side closed, is still read.
func (s *Stream) Read(p []byte) (int, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	for {
		n, err := s.tryRead(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, s.fault("read", err)
		}
		if err := s.lane.awaitStream(s.readable, &s.readBy, nil); err != nil {
			if n, _ := s.tryRead(p); n > 0 { // it came last
				return n, nil
			}
			return 0, s.fault("read", err)
		}
	}
}

// tryRead copies what there is. The one copy is out of shared memory: what the
// other side changes meanwhile it could have written so at once.
func (s *Stream) tryRead(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readBy.over() && !s.closed {
		return 0, os.ErrDeadlineExceeded
	}
	for n < len(p) && len(s.inbox) > 0 {
		c := s.inbox[0]
		mem, _ := s.lane.region.Arena(s.lane.side.Peer(), c.off, c.n)
		k := copy(p[n:], mem[s.skip:])
		n, s.skip = n+k, s.skip+k
		if s.skip == len(mem) {
			s.skip, s.inbox = 0, s.inbox[1:]
			s.lane.streams.giveBack(c)
		}
	}
	if n > 0 {
		s.lane.streams.read.Add(uint64(n))
	}
	switch {
	case s.closed:
		return n, net.ErrClosed
	case n == 0 && (s.ended || s.gone) && len(s.inbox) == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write implements [net.Conn]: it returns when everything was handed to the
// other side, which may not have read it yet.
func (s *Stream) Write(p []byte) (n int, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	for first := true; first || n < len(p); first = false {
		k, full, err := s.tryWrite(p[n:])
		n += k
		if err != nil {
			s.lane.streams.leaveLine(s)
			return n, s.fault("write", err)
		}
		if k > 0 || n == len(p) {
			continue
		}
		if full {
			s.lane.awaitArena()
			continue
		}
		if err := s.lane.awaitStream(s.writable, &s.writeBy, nil); err != nil {
			s.lane.streams.leaveLine(s)
			return n, s.fault("write", err)
		}
	}
	return n, nil
}

// tryWrite hands over as much of p as there is room for now. full means that
// others than streams have all of the arena.
func (s *Stream) tryWrite(p []byte) (n int, full bool, err error) {
	if err := s.writeFault(); err != nil || len(p) == 0 {
		return 0, false, err
	}
	off, n, full := s.lane.streams.room(s, len(p))
	if n == 0 {
		return 0, full, nil
	}
	mem, _ := s.lane.region.Arena(s.lane.side, off, uint32(n))
	copy(mem, p)
	s.lane.streams.hand(s, off, n)
	return n, false, nil
}

// writeFault tells why nothing can be written, or nil.
func (s *Stream) writeFault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || s.finished:
		return net.ErrClosed
	case s.gone:
		return errStreamGone
	case s.lane.closed.Load():
		return s.lane.err
	case s.writeBy.over():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// CloseWrite ends this side's writing: the other side reads what was written
// and then io.EOF. Reading goes on.
func (s *Stream) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.finished {
		return s.fault("close", net.ErrClosed)
	}
	s.finished = true
	if !s.gone {
		s.lane.streams.say(s.key, streamEnd)
	}
	notify(s.writable)
	return nil
}

// Close implements [net.Conn]. What was written before it is still read by the
// other side; what this side has not read is lost.
func (s *Stream) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return s.fault("close", net.ErrClosed)
	}
	s.closed = true
	for _, c := range s.inbox {
		s.lane.streams.giveBack(c)
	}
	s.inbox = nil
	notify(s.readable)
	notify(s.writable)
	over := s.gone
	if !over {
		s.lane.streams.say(s.key, streamClose)
	}
	s.mu.Unlock()
	if over {
		s.lane.streams.forget(s)
	}
	s.readBy.set(time.Time{})
	s.writeBy.set(time.Time{})
	return nil
}

// SetDeadline implements [net.Conn].
func (s *Stream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// SetReadDeadline implements [net.Conn].
func (s *Stream) SetReadDeadline(t time.Time) error { return s.setDeadline(&s.readBy, t) }

// SetWriteDeadline implements [net.Conn].
func (s *Stream) SetWriteDeadline(t time.Time) error { return s.setDeadline(&s.writeBy, t) }

func (s *Stream) setDeadline(d *movable, t time.Time) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return s.fault("set", net.ErrClosed)
	}
	d.set(t)
	return nil
}

// LocalAddr implements [net.Conn]: the name that was dialled.
func (s *Stream) LocalAddr() net.Addr { return streamAddr(s.name) }

// RemoteAddr implements [net.Conn]: the name that was dialled.
func (s *Stream) RemoteAddr() net.Addr { return streamAddr(s.name) }

// Lane returns the lane that the stream goes over, which tells one host process
// from another.
func (s *Stream) Lane() *Lane { return s.lane }

// network is that of stream addresses.
const network = "secgear"

// streamAddr is the name that a stream was dialled by.
type streamAddr string

func (streamAddr) Network() string  { return network }
func (a streamAddr) String() string { return string(a) }

// dialled waits for the other side's answer.
func (s *Stream) dialled(ctx context.Context) error {
	for {
		s.mu.Lock()
		answered, err := s.answered, s.answer
		s.mu.Unlock()
		if answered {
			notify(s.readable) // data may have come with it
			return err
		}
		if err := s.lane.awaitStream(s.readable, &s.readBy, ctx); err != nil {
			return err
		}
	}
}

// answers ends the wait of whoever dialled s, once.
func (s *Stream) answers(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.key.mine || s.answered {
		return false
	}
	s.answered, s.answer = true, err
	notify(s.readable)
	return true
}
