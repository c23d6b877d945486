package mux

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// Mux is one end of the connection. Its methods are safe for concurrent use.
type Mux struct {
	conn   io.ReadWriteCloser
	accept func(*Stream) // nil: this side opens
	most   int           // streams at a time

	data chan dataFrame // unbuffered: each is written before what follows it
	kick chan struct{}  // capacity 1: something is in dirty
	done chan struct{}  // closed once err is set

	mu      sync.Mutex
	streams map[uint32]*Stream // those that have not ended on both sides
	dirty   []*Stream          // that have to send what is not data
	err     error
}

// dataFrame is a frame with data, whole.
type dataFrame struct {
	stream *Stream
	frame  []byte
}

// New uses conn, which it closes at the end. The side that is given accept lets
// the other one open streams, most of them at a time, and hears of each by
// accept, which must not wait.
func New(conn io.ReadWriteCloser, most int, accept func(*Stream)) *Mux {
	m := &Mux{
		conn: conn, accept: accept, most: most,
		data: make(chan dataFrame), kick: make(chan struct{}, 1), done: make(chan struct{}),
		streams: make(map[uint32]*Stream),
	}
	go m.read()
	go m.write()
	return m
}

// Open opens the stream of that number, which must not be in use.
func (m *Mux) Open(number uint32) (*Stream, error) {
	s := newStream(m, number)
	s.opening = true
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.err != nil:
		return nil, m.err
	case m.streams[number] != nil:
		return nil, fmt.Errorf("opening stream %d: it is open", number)
	case len(m.streams) >= m.most:
		return nil, fmt.Errorf("opening stream %d: there are %d already", number, len(m.streams))
	}
	m.streams[number] = s
	m.mark(s)
	return s, nil
}

// Done is closed when the connection, and all its streams, have ended.
func (m *Mux) Done() <-chan struct{} { return m.done }

// Err is why the connection ended, after Done; io.EOF if the other side closed
// it.
func (m *Mux) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// Close ends the connection and all its streams.
func (m *Mux) Close() error {
	m.fail(io.ErrClosedPipe)
	return nil
}

// fail ends everything, because of err.
func (m *Mux) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return
	}
	m.err = err
	close(m.done)
	m.conn.Close()
	for _, s := range m.streams {
		s.peerEnds()
	}
}

// mark has the writer send what s has to say beside data. m.mu is held.
func (m *Mux) mark(s *Stream) {
	if s.dirty {
		return
	}
	s.dirty = true
	m.dirty = append(m.dirty, s)
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

// write writes frames until the end. It alone writes, so that a connection that
// is stuck holds up nobody's deadline.
func (m *Mux) write() {
	for {
		var f dataFrame
		select {
		case f = <-m.data:
		case <-m.kick:
		case <-m.done:
			return
		}
		b := m.frames(f)
		if len(b) == 0 {
			continue
		}
		if _, err := m.conn.Write(b); err != nil {
			m.fail(err)
			return
		}
	}
}

// frames returns what is to be sent: that streams were opened; f, if there is one
// and its stream has not ended; and what else streams have to say.
func (m *Mux) frames(f dataFrame) (b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.dirty {
		b = s.appendOpen(b)
	}
	switch {
	case f.stream == nil || f.stream.endSent:
	case len(b) == 0:
		b = f.frame
	default:
		b = append(b, f.frame...)
	}
	for _, s := range m.dirty {
		s.dirty = false
		b = s.appendSignals(b)
	}
	clear(m.dirty)
	m.dirty = m.dirty[:0]
	return b
}

// forget drops s if both sides have ended it. m.mu is held.
func (m *Mux) forget(s *Stream) {
	if s.endSent && s.ended && m.streams[s.number] == s {
		delete(m.streams, s.number)
	}
}

// read handles what arrives until the end. It never waits for anything else.
func (m *Mux) read() {
	r := bufio.NewReaderSize(m.conn, MaxData+headerSize)
	var h [headerSize]byte
	payload := make([]byte, MaxData)
	for {
		_, err := io.ReadFull(r, h[:])
		var head header
		if err == nil {
			head, err = parseHeader(&h)
		}
		if err == nil && head.length > 0 {
			_, err = io.ReadFull(r, payload[:head.length])
		}
		if err == nil {
			err = m.handle(head, payload[:head.length])
		}
		if err != nil {
			m.fail(err)
			return
		}
	}
}

// handle deals with one frame. What is of a stream that this side has ended was
// sent before the other side knew, and is dropped.
func (m *Mux) handle(h header, payload []byte) error {
	if h.kind == kindOpen {
		return m.opened(h.stream)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.streams[h.stream]
	if s == nil || s.ended {
		return fmt.Errorf("%w: frame of kind %d for stream %d, which is not open", ErrProtocol, h.kind, h.stream)
	}
	switch h.kind {
	case kindData:
		return s.take(payload)
	case kindCredit:
		return s.allow(binary.LittleEndian.Uint32(payload))
	}
	s.peerEnds()
	m.forget(s)
	return nil
}

// opened notes a stream that the other side opened.
func (m *Mux) opened(number uint32) error {
	m.mu.Lock()
	if m.err != nil { // it may have ended meanwhile
		defer m.mu.Unlock()
		return m.err
	}
	if m.accept == nil || m.streams[number] != nil || len(m.streams) >= m.most {
		defer m.mu.Unlock()
		return fmt.Errorf("%w: stream %d opened, with %d there", ErrProtocol, number, len(m.streams))
	}
	s := newStream(m, number)
	m.streams[number] = s
	m.mu.Unlock()
	m.accept(s)
	return nil
}
