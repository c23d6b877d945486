package call

import (
	"errors"
	"sync/atomic"
)

// ErrPrivate: a method marked //secgear:private was called while no call that
// allows it was in flight.
var ErrPrivate = errors.New("private method called outside of the calls that allow it")

// Gate stands before a private method of an enclave. It is open while at least
// one of the enclave's own calls that allow the method is in flight. Generated
// code keeps one for each private method; the zero Gate is closed.
type Gate struct{ calls atomic.Int64 }

// Enter opens the gate for a call that begins.
func (g *Gate) Enter() { g.calls.Add(1) }

// Leave takes back one Enter: the call is over.
func (g *Gate) Leave() { g.calls.Add(-1) }

// Check returns ErrPrivate if the gate is closed.
func (g *Gate) Check() error {
	if g.calls.Load() > 0 {
		return nil
	}
	return ErrPrivate
}
