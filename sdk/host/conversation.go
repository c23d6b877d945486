package host

import (
	"bufio"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/secgear/secgear/sdk/internal/control"
)

// conversation is the host's end of the control stream. What arrives was chosen
// by the enclave.
type conversation struct {
	conn      net.Conn
	sink      *sink
	answer    chan error // one: nil when ready, or why not
	contracts *atomic.Pointer[[]string]
	stopped   chan struct{} // closed when the enclave says that it has stopped
	broken    chan struct{} // closed when the enclave violates the protocol
	ended     chan struct{} // closed when nothing more comes
	fault     error         // set before broken is closed
}

func newConversation(conn net.Conn, s *sink, contracts *atomic.Pointer[[]string]) *conversation {
	return &conversation{
		conn:      conn,
		sink:      s,
		contracts: contracts,
		answer:    make(chan error, 1),
		stopped:   make(chan struct{}),
		broken:    make(chan struct{}),
		ended:     make(chan struct{}),
	}
}

// listen follows what the enclave says until it ends, or violates the protocol.
func (t *conversation) listen() {
	defer close(t.ended)
	defer t.sink.close()
	in := bufio.NewReader(t.conn)
	answered, stopped := false, false
	for {
		m, err := control.Read(in)
		if err != nil {
			t.fail(err)
			return
		}
		switch m := m.(type) {
		case *control.Log:
			t.sink.put(m)
			continue
		case *control.Ready:
			if !answered {
				answered = true
				t.answer <- t.accept(m)
				continue
			}
		case *control.Failed:
			if !answered {
				answered = true
				t.answer <- fmt.Errorf("%w: %s", ErrSetup, control.Printable(m.Text))
				continue
			}
		case *control.Stopped:
			if answered && !stopped {
				stopped = true
				close(t.stopped)
				continue
			}
		}
		t.fail(fmt.Errorf("%w: message out of order", control.ErrProtocol))
		return
	}
}

// accept takes the enclave's word that it is ready.
func (t *conversation) accept(m *control.Ready) error {
	if m.Version != control.Version {
		return fmt.Errorf("the enclave speaks version %d of the control protocol and the host version %d", m.Version, control.Version)
	}
	var names []string
	for _, c := range m.Contracts {
		names = append(names, control.Printable(c.Name))
	}
	t.contracts.Store(&names)
	return nil
}

// fail ends the conversation. That a stream ends is no violation.
func (t *conversation) fail(err error) {
	if isProtocol(err) {
		t.fault = err
		close(t.broken)
	}
}

// violation returns how the enclave broke the protocol, or nil.
func (t *conversation) violation() error {
	select {
	case <-t.broken:
		return t.fault
	default:
		return nil
	}
}

// wait returns when the stream has ended, which the end of the enclave brings
// about, and its last log records were handed on.
func (t *conversation) wait() {
	<-t.ended
	t.sink.wait()
}
