package mux

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// Stream is one end of a stream. It is a connection: Close ends it for both
// sides; after what was sent before, the other side reads io.EOF.
type Stream struct {
	mux    *Mux
	number uint32

	readers, writers deadline
	changed          chan struct{} // capacity 1: there is something for a reader
	room             chan struct{} // capacity 1: there is something for a writer
	closed           chan struct{} // closed by Close
	over             chan struct{} // closed when the other side, or all, has ended
	writing          chan struct{} // capacity 1: the turn to write

	// Guarded by mux.mu.
	buf     []byte // unread
	read    uint32 // bytes that were read, to be told
	credit  int    // bytes that may be sent
	closing bool   // by Close
	ended   bool   // by the other side

	opening, endSent, dirty bool // of what there is to send
}

func newStream(m *Mux, number uint32) *Stream {
	s := &Stream{
		mux: m, number: number, credit: Window,
		changed: make(chan struct{}, 1), room: make(chan struct{}, 1), writing: make(chan struct{}, 1),
		closed: make(chan struct{}), over: make(chan struct{}),
	}
	s.readers.init()
	s.writers.init()
	return s
}

// Number is the stream's number.
func (s *Stream) Number() uint32 { return s.number }

// Read implements [net.Conn].
func (s *Stream) Read(b []byte) (int, error) {
	for {
		n, err := s.tryRead(b)
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		select {
		case <-s.changed:
		case <-s.over:
		case <-s.closed:
		case <-s.readers.wait():
			return 0, os.ErrDeadlineExceeded
		}
	}
}

// tryRead is Read without waiting.
func (s *Stream) tryRead(b []byte) (int, error) {
	m := s.mux
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case s.closing:
		return 0, net.ErrClosed
	case s.readers.passed():
		return 0, os.ErrDeadlineExceeded
	case len(s.buf) == 0 && s.ended:
		return 0, io.EOF
	}
	n := copy(b, s.buf)
	s.buf = s.buf[n:]
	if len(s.buf) == 0 {
		s.buf = nil // what is idle costs nothing
	} else {
		notify(s.changed) // another reader's turn
	}
	s.read += uint32(n)
	if s.read >= Window/4 && !s.ended && m.err == nil {
		m.mark(s)
	}
	return n, nil
}

// Write implements [net.Conn].
func (s *Stream) Write(b []byte) (written int, err error) {
	select {
	case s.writing <- struct{}{}:
	case <-s.closed:
		return 0, net.ErrClosed
	case <-s.over:
		return 0, io.ErrClosedPipe
	case <-s.writers.wait():
		return 0, os.ErrDeadlineExceeded
	}
	defer func() { <-s.writing }()
	for len(b) > 0 {
		n, err := s.reserve(len(b))
		if err != nil {
			return written, err
		}
		if n == 0 {
			if err := s.await(s.room, nil, dataFrame{}); err != nil {
				return written, err
			}
			continue
		}
		f := header{kindData, n, s.number}.append(make([]byte, 0, headerSize+n))
		if err := s.await(nil, s.mux.data, dataFrame{s, append(f, b[:n]...)}); err != nil {
			s.refund(n)
			return written, err
		}
		written, b = written+n, b[n:]
	}
	return written, nil
}

// await waits until there is room, or until frame is taken by the writer,
// whichever is asked for.
func (s *Stream) await(room <-chan struct{}, out chan<- dataFrame, frame dataFrame) error {
	select {
	case <-room:
		return nil
	case out <- frame:
		return nil
	case <-s.closed:
		return net.ErrClosed
	case <-s.over:
		return io.ErrClosedPipe
	case <-s.writers.wait():
		return os.ErrDeadlineExceeded
	}
}

// reserve takes up to n bytes of credit, for one frame.
func (s *Stream) reserve(n int) (int, error) {
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	switch {
	case s.closing:
		return 0, net.ErrClosed
	case s.ended:
		return 0, io.ErrClosedPipe
	case s.writers.passed():
		return 0, os.ErrDeadlineExceeded
	}
	n = min(n, MaxData, s.credit)
	s.credit -= n
	return n, nil
}

// refund gives back credit for what was not sent.
func (s *Stream) refund(n int) {
	s.mux.mu.Lock()
	s.credit += n
	s.mux.mu.Unlock()
}

// take appends what arrived. mux.mu is held.
func (s *Stream) take(payload []byte) error {
	if s.closing {
		return nil
	}
	if len(s.buf)+int(s.read)+len(payload) > Window {
		return fmt.Errorf("%w: more than the window of stream %d", ErrProtocol, s.number)
	}
	s.buf = append(s.buf, payload...)
	notify(s.changed)
	return nil
}

// allow adds credit. mux.mu is held.
func (s *Stream) allow(n uint32) error {
	if n > Window || s.credit+int(n) > Window {
		return fmt.Errorf("%w: credit of %d bytes for stream %d", ErrProtocol, n, s.number)
	}
	s.credit += int(n)
	notify(s.room)
	return nil
}

// peerEnds notes that nothing more will come. mux.mu is held.
func (s *Stream) peerEnds() {
	if !s.ended {
		s.ended = true
		close(s.over)
	}
}

// appendSignals appends what s has to send beside its opening and data. mux.mu is
// held.
func (s *Stream) appendSignals(b []byte) []byte {
	if s.read > 0 && !s.closing && !s.ended {
		b = header{kindCredit, creditSize, s.number}.append(b)
		b = binary.LittleEndian.AppendUint32(b, s.read)
		s.read = 0
	}
	if s.closing && !s.endSent {
		s.endSent = true
		b = header{kindEnd, 0, s.number}.append(b)
		s.mux.forget(s)
	}
	return b
}

// appendOpen appends the frame that opens s, unless it was. mux.mu is held.
func (s *Stream) appendOpen(b []byte) []byte {
	if !s.opening {
		return b
	}
	s.opening = false
	return header{kindOpen, 0, s.number}.append(b)
}

// Close implements [net.Conn]. What was written before is still sent.
func (s *Stream) Close() error {
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	if s.closing {
		return net.ErrClosed
	}
	s.closing, s.buf = true, nil
	close(s.closed)
	if s.mux.err == nil {
		s.mux.mark(s)
	}
	return nil
}

// notify tells one who waits on c.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// LocalAddr implements [net.Conn].
func (s *Stream) LocalAddr() net.Addr { return addr(s.number) }

// RemoteAddr implements [net.Conn].
func (s *Stream) RemoteAddr() net.Addr { return addr(s.number) }

// addr is the address of either end of a stream.
type addr uint32

func (addr) Network() string  { return "mux" }
func (a addr) String() string { return strconv.FormatUint(uint64(a), 10) }

// SetDeadline implements [net.Conn].
func (s *Stream) SetDeadline(t time.Time) error {
	s.readers.set(t)
	s.writers.set(t)
	return nil
}

// SetReadDeadline implements [net.Conn].
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.readers.set(t)
	return nil
}

// SetWriteDeadline implements [net.Conn].
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.writers.set(t)
	return nil
}

// deadline closes a channel when it passes.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	past  chan struct{}
}

func (d *deadline) init() { d.past = make(chan struct{}) }

// wait returns the channel that is closed when the deadline passes.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.past
}

// passed tells whether the deadline has passed.
func (d *deadline) passed() bool {
	select {
	case <-d.wait():
		return true
	default:
		return false
	}
}

// set sets the deadline; the zero time: none.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.past // the timer's function runs, and does not need the lock
	}
	d.timer = nil
	select {
	case <-d.past:
		d.past = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	if until := time.Until(t); until > 0 {
		past := d.past
		d.timer = time.AfterFunc(until, func() { close(past) })
		return
	}
	close(d.past)
}
