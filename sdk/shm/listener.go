package shm

import (
	"fmt"
	"net"
	"sync"

	"github.com/secgear/secgear/sdk/image"
)

// backlog is how many streams may wait to be accepted.
const backlog = 1024

// Listeners are those who take streams, by name; several lanes may share them.
// The zero Listeners is ready to use, and its methods safe for concurrent use.
type Listeners struct {
	mu     sync.Mutex
	byName map[string]*listener
	ended  error // why there are none any more
}

// Listen takes the streams that the other side dials by name; see
// [Lane.DialStream]. One listens by a name at a time.
func (ls *Listeners) Listen(name string) (net.Listener, error) {
	if err := image.CheckName(name); err != nil {
		return nil, fmt.Errorf("listening for stream %.80q: %w", name, err)
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	switch {
	case ls.ended != nil:
		return nil, fmt.Errorf("listening for stream %q: %w", name, ls.ended)
	case ls.byName[name] != nil:
		return nil, fmt.Errorf("listening for stream %q: somebody does already", name)
	case ls.byName == nil:
		ls.byName = make(map[string]*listener)
	}
	l := &listener{all: ls, name: name, waiting: make(chan *Stream, backlog), over: make(chan struct{})}
	ls.byName[name] = l
	return l, nil
}

// End closes every listener; Accept and Listen answer with err from now on.
func (ls *Listeners) End(err error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.ended != nil {
		return
	}
	ls.ended = err
	for _, l := range ls.byName {
		l.end(err)
	}
	ls.byName = nil
}

// offer hands s to the listener of its name, or tells why not. It never blocks.
func (ls *Listeners) offer(s *Stream) (why uint32) {
	if ls == nil {
		return refusedUnknown
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.byName[s.name]
	if l == nil {
		return refusedUnknown
	}
	select {
	case l.waiting <- s:
		return 0
	default:
		return refusedBacklog
	}
}

// listener is a [net.Listener] for one name.
type listener struct {
	all     *Listeners
	name    string
	waiting chan *Stream
	over    chan struct{}
	why     error // set before over is closed
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	select {
	case s := <-l.waiting:
		return s, nil
	case <-l.over:
		return nil, &net.OpError{Op: "accept", Net: network, Addr: l.Addr(), Err: l.why}
	}
}

// Close implements [net.Listener]: those that wait to be accepted are closed.
func (l *listener) Close() error {
	l.all.mu.Lock()
	if l.all.byName[l.name] != l {
		l.all.mu.Unlock()
		return &net.OpError{Op: "close", Net: network, Addr: l.Addr(), Err: net.ErrClosed}
	}
	delete(l.all.byName, l.name)
	l.end(net.ErrClosed)
	l.all.mu.Unlock()
	for {
		select {
		case s := <-l.waiting:
			s.Close()
		default:
			return nil
		}
	}
}

func (l *listener) end(why error) {
	l.why = why
	close(l.over)
}

// Addr implements [net.Listener]: the name.
func (l *listener) Addr() net.Addr { return streamAddr(l.name) }
