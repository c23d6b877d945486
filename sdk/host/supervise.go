package host

import (
	"errors"
	"fmt"
	"time"

	"github.com/secgear/secgear/sdk/internal/control"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
)

// moment is how long the parts of an enclave's end may be apart: the streams
// break, and then the TEE says how it ended.
const moment = time.Second

// errClosed is what calls fail with after Close.
var errClosed error = tee.ErrClosed

// supervise waits for the end of the enclave, or for Close, and releases
// everything.
func (e *Enclave) supervise() {
	defer close(e.done)
	lane, closing := e.lane.Load(), false
	select {
	case <-e.closing:
		closing = true
	case <-e.talk.ended:
	case <-e.inst.Done():
	case <-lane.Done():
	}
	unserved := make(chan error, 1)
	go func() { unserved <- e.unserve() }()
	if closing {
		e.shutdown()
		lane.Close()
		e.released = e.inst.Close()
	} else {
		e.mourn(lane)
	}
	e.talk.wait()
	join(lane)
	e.released = errors.Join(e.released, <-unserved)
}

// join waits for the handlers of a closed lane, whose contexts have ended, but not
// for those that don't care.
func join(lane *shm.Lane) {
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		lane.Join()
	}()
	select {
	case <-joined:
	case <-time.After(moment):
	}
}

// mourn notes how the enclave died, after making sure that it is dead.
func (e *Enclave) mourn(lane *shm.Lane) {
	why := lane.Err()
	if why == nil {
		why = e.howLost()
	}
	if e.fault.CompareAndSwap(nil, &why) {
		e.err = why
		e.listeners.End(why)
		e.log.Error("enclave lost", "enclave", e.id.Manifest.Name, "reason", why)
	}
	e.released = e.inst.Close()
	select {
	case <-lane.Done(): // with the reason
	case <-time.After(moment):
	}
	lane.Close()
}

// cause is what calls in flight fail with when the lane's stream breaks.
func (e *Enclave) cause() error {
	if fault := e.fault.Load(); fault != nil {
		return *fault
	}
	return e.howLost()
}

// over tells whether the enclave has ended or broken with the host.
func (e *Enclave) over() bool {
	select {
	case <-e.inst.Done():
		return true
	case <-e.talk.ended:
		return true
	default:
		return false
	}
}

// howLost returns an error that matches [tee.ErrLost] and says how the enclave
// ended, or why it is given up.
func (e *Enclave) howLost() error {
	select {
	case <-e.inst.Done():
	case <-time.After(moment):
	case <-e.talk.broken:
	}
	why := errors.New("the enclave ended by itself")
	if err := e.talk.violation(); err != nil {
		why = err
	} else if err := e.inst.Err(); err != nil {
		why = err
	}
	if errors.Is(why, tee.ErrLost) {
		return why
	}
	return fmt.Errorf("%w: %w", tee.ErrLost, why)
}

// shutdown asks the enclave to stop and waits for its answer, for Grace at
// most.
func (e *Enclave) shutdown() {
	timeout := time.NewTimer(e.opt.Grace)
	defer timeout.Stop()
	e.talk.conn.SetWriteDeadline(time.Now().Add(e.opt.Grace))
	if control.Write(e.talk.conn, &control.Shutdown{}) != nil {
		return // it is gone, or stuck: what follows is the same
	}
	select {
	case <-e.talk.stopped:
	case <-e.talk.ended:
	case <-e.inst.Done():
	case <-timeout.C:
		e.log.Warn("enclave did not stop in time and is ended by force", "enclave", e.id.Manifest.Name, "grace", e.opt.Grace)
	}
}
