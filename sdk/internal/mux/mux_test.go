package mux

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"
)

// patience is how long anything may take.
const patience = 30 * time.Second

// pair returns both ends of a connection, and the streams that the second
// accepts.
func pair(t testing.TB, most int) (opener, acceptor *Mux, accepted chan *Stream) {
	t.Helper()
	a, b := net.Pipe()
	accepted = make(chan *Stream, most)
	opener = New(a, most, nil)
	acceptor = New(b, most, func(s *Stream) { accepted <- s })
	t.Cleanup(func() {
		opener.Close()
		acceptor.Close()
	})
	return opener, acceptor, accepted
}

// open opens a stream, and returns both ends.
func open(t testing.TB, m *Mux, accepted chan *Stream, number uint32) (here, there *Stream) {
	t.Helper()
	here, err := m.Open(number)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case there = <-accepted:
	case <-time.After(patience):
		t.Fatal("the other side does not hear of it")
	}
	if there.Number() != number {
		t.Errorf("number %d there, %d here", there.Number(), number)
	}
	return here, there
}

// TestConn is Go's own suite for connections.
func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		opener, acceptor, accepted := pair(t, 4)
		here, there := open(t, opener, accepted, 7)
		return here, there, func() {
			here.Close()
			there.Close()
			opener.Close()
			acceptor.Close()
		}, nil
	})
}

// TestOthersGoOn: a stream that nobody reads holds up itself alone.
func TestOthersGoOn(t *testing.T) {
	opener, _, accepted := pair(t, 4)
	stuck, _ := open(t, opener, accepted, 1)
	stuck.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	n, err := stuck.Write(make([]byte, 2*Window))
	if n != Window || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("wrote %d bytes that nobody reads, %v", n, err)
	}
	here, there := open(t, opener, accepted, 2)
	want := bytes.Repeat([]byte("0123456789"), 50_000)
	go func() {
		here.Write(want)
		here.Close()
	}()
	if got, err := io.ReadAll(there); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
}

// TestEnds: what was written before the end arrives, then both ends know of it,
// and the number can be used again.
func TestEnds(t *testing.T) {
	opener, _, accepted := pair(t, 1)
	for range 100 {
		here, there := open(t, opener, accepted, 5)
		if _, err := here.Write([]byte("last words")); err != nil {
			t.Fatal(err)
		}
		here.Close()
		if got, err := io.ReadAll(there); err != nil || string(got) != "last words" {
			t.Fatalf("%q, %v", got, err)
		}
		if _, err := there.Write([]byte("x")); err == nil {
			t.Fatal("written to a stream that has ended")
		}
		there.Close()
		for end := time.Now().Add(patience); opener.count() > 0; {
			if time.Now().After(end) {
				t.Fatal("the stream stays")
			}
		}
	}
}

func (m *Mux) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.streams)
}

// TestWriteAndClose: a stream closed amid writes ends well.
func TestWriteAndClose(t *testing.T) {
	opener, acceptor, accepted := pair(t, 1)
	for range 200 {
		here, there := open(t, opener, accepted, 5)
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				if _, err := here.Write([]byte("x")); err != nil {
					return
				}
			}
		})
		wg.Go(func() { io.Copy(io.Discard, there) })
		here.Close()
		wg.Wait()
		there.Close()
		for end := time.Now().Add(patience); opener.count() > 0 && time.Now().Before(end); {
		}
	}
	if opener.Err() != nil || acceptor.Err() != nil {
		t.Errorf("ended: %v, %v", opener.Err(), acceptor.Err())
	}
}

// TestConnectionEnds: all streams end with the connection.
func TestConnectionEnds(t *testing.T) {
	opener, acceptor, accepted := pair(t, 4)
	here, there := open(t, opener, accepted, 1)
	acceptor.Close()
	for _, s := range []*Stream{here, there} {
		if _, err := s.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("read: %v", err)
		}
		if _, err := s.Write([]byte("x")); err == nil {
			t.Error("written")
		}
	}
	<-opener.Done()
	if _, err := opener.Open(2); err == nil {
		t.Error("opened")
	}
}

// TestBounds: no more streams are opened than there may be.
func TestBounds(t *testing.T) {
	opener, _, accepted := pair(t, 2)
	open(t, opener, accepted, 1)
	if _, err := opener.Open(1); err == nil {
		t.Error("opened twice")
	}
	open(t, opener, accepted, 2)
	if _, err := opener.Open(3); err == nil {
		t.Error("opened one too many")
	}
}

// TestBrokenRules: whatever the other side does wrong ends everything.
func TestBrokenRules(t *testing.T) {
	frame := func(k kind, n int, stream uint32) []byte {
		return header{k, n, stream}.append(nil)
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	data := join(frame(kindData, MaxData, 1), make([]byte, MaxData))
	for name, b := range map[string][]byte{
		"unknown kind":         frame(9, 0, 1),
		"no kind":              frame(0, 0, 1),
		"not zero":             {1, 1, 0, 0, 0, 0, 0, 0},
		"data for nothing":     join(frame(kindData, 1, 1), []byte("x")),
		"empty data":           join(frame(kindOpen, 0, 1), frame(kindData, 0, 1)),
		"too long":             join(frame(kindOpen, 0, 1), frame(kindData, MaxData+1, 1), make([]byte, MaxData+1)),
		"more than the window": join(frame(kindOpen, 0, 1), bytes.Repeat(data, Window/MaxData+1)),
		"opened twice":         join(frame(kindOpen, 0, 1), frame(kindOpen, 0, 1)),
		"too many":             join(frame(kindOpen, 0, 1), frame(kindOpen, 0, 2), frame(kindOpen, 0, 3)),
		"end of nothing":       frame(kindEnd, 0, 1),
		"ended twice":          join(frame(kindOpen, 0, 1), frame(kindEnd, 0, 1), frame(kindEnd, 0, 1)),
		"data after the end":   join(frame(kindOpen, 0, 1), frame(kindEnd, 0, 1), frame(kindData, 1, 1), []byte("x")),
		"credit for nothing":   join(frame(kindCredit, 4, 1), make([]byte, 4)),
		"too much credit":      join(frame(kindOpen, 0, 1), frame(kindCredit, 4, 1), []byte{1, 0, 0, 0}),
		"endless credit":       join(frame(kindOpen, 0, 1), frame(kindCredit, 4, 1), []byte{255, 255, 255, 255}),
		"short credit":         join(frame(kindOpen, 0, 1), frame(kindCredit, 2, 1), []byte{0, 0}),
	} {
		t.Run(name, func(t *testing.T) {
			a, b2 := net.Pipe()
			m := New(b2, 2, func(*Stream) {})
			defer m.Close()
			go io.Copy(io.Discard, a)
			go a.Write(b)
			select {
			case <-m.Done():
			case <-time.After(patience):
				t.Fatal("it goes on")
			}
			if err := m.Err(); !errors.Is(err, ErrProtocol) {
				t.Errorf("ended: %v", err)
			}
		})
	}
}

// script is a connection whose other side says what it was told, and ends.
type script struct {
	io.Reader
	closed chan struct{}
	once   sync.Once
}

func (s *script) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err != nil {
		<-s.closed // until the streams were looked at
	}
	return n, err
}

func (s *script) Write(b []byte) (int, error) { return len(b), nil }

func (s *script) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// FuzzHostile: whatever arrives, nothing panics, hangs or grows.
func FuzzHostile(f *testing.F) {
	open := header{kindOpen, 0, 1}.append(nil)
	f.Add(open)
	f.Add(append(append(header{kindOpen, 0, 1}.append(nil), header{kindData, 3, 1}.append(nil)...), "abc"...))
	f.Add(append(header{kindOpen, 0, 1}.append(nil), header{kindEnd, 0, 1}.append(nil)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		const most = 3
		streams := make(chan *Stream, len(b)/headerSize+1)
		m := New(&script{Reader: bytes.NewReader(b), closed: make(chan struct{})}, most, func(s *Stream) { streams <- s })
		if n := m.count(); n > most {
			t.Errorf("%d streams", n)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case s := <-streams:
					s.Write([]byte("hello"))
					s.SetReadDeadline(time.Now())
					n, _ := s.Read(make([]byte, 2*Window))
					if n > Window {
						t.Errorf("%d bytes were unread", n)
					}
					s.Close()
				case <-m.Done():
					return
				}
			}
		})
		m.Close()
		wg.Wait()
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	opener, _, accepted := pair(b, 1)
	here, there := open(b, opener, accepted, 1)
	go io.Copy(there, there)
	buf := make([]byte, 64)
	for b.Loop() {
		here.Write(buf)
		io.ReadFull(here, buf)
	}
}
