package enclave

import (
	"io"
	"sync/atomic"

	"github.com/secgear/secgear/sdk/internal/control"
)

// outboxSize is how many messages wait for the host at most.
const outboxSize = 128

// outbox sends messages to the host in order, so that nobody else waits for
// it.
type outbox struct {
	w       io.Writer
	queue   chan letter
	gone    <-chan struct{}
	dropped atomic.Uint64 // log records, since the host was last told
	ended   chan struct{}
}

// letter is a message and, if not nil, what to close when it is sent.
type letter struct {
	m    control.Message
	sent chan struct{}
}

func newOutbox(w io.Writer, gone <-chan struct{}) *outbox {
	o := &outbox{w: w, queue: make(chan letter, outboxSize), gone: gone, ended: make(chan struct{})}
	go o.run()
	return o
}

// run sends until the host is gone.
func (o *outbox) run() {
	defer close(o.ended)
	for {
		select {
		case <-o.gone:
			return
		case l := <-o.queue:
			if !o.deliver(l) {
				return
			}
		}
	}
}

// deliver sends a message, after a note of what was dropped before it. It
// fails when the stream is broken, which whoever reads from it notices too.
func (o *outbox) deliver(l letter) bool {
	if n := o.dropped.Swap(0); n > 0 {
		if control.Write(o.w, droppedNote(n)) != nil {
			return false
		}
	}
	if control.Write(o.w, l.m) != nil {
		return false
	}
	if l.sent != nil {
		close(l.sent)
	}
	return true
}

// log sends a record if there is room.
func (o *outbox) log(m *control.Log) {
	select {
	case o.queue <- letter{m: m}:
	default:
		o.dropped.Add(1)
	}
}

// flush sends m and everything before it, and returns when that is done or the
// host is gone.
func (o *outbox) flush(m control.Message) {
	l := letter{m, make(chan struct{})}
	select {
	case o.queue <- l:
	case <-o.ended:
		return
	}
	select {
	case <-l.sent:
	case <-o.ended:
	}
}

// wait returns when nothing is sent any more.
func (o *outbox) wait() { <-o.ended }
