// Package shm makes calls through memory shared by two processes, without a
// context switch and, for payloads that ask for it, without a copy.
//
// A [Lane] connects exactly two processes. Either side may call the other;
// both directions have [Slots] calls in flight at most, and an arena for
// payloads that don't fit a slot. The other side is taken to be hostile: it can
// make calls fail, and waste its own lane, but can't make this side read or
// write outside the lane, allocate more than the lane's size, or hang calls on
// other lanes.
package shm

import (
	"context"
	"errors"

	"github.com/secgear/secgear/sdk/internal/ring"
)

// Slots is the number of calls that a lane holds in flight in each direction. A
// quarter of them is kept for nested calls (an ECALL made by the handler of an
// OCALL), so that these don't wait for what waits for them.
const Slots = ring.Slots

var (
	// ErrTooLarge: a message or buffer exceeds the lane's arena.
	ErrTooLarge = errors.New("larger than the lane's arena")
	// ErrNoMemory: the side that handles the call has no memory left for it.
	ErrNoMemory = errors.New("no memory left for the call")
	// ErrProtocol: the other side broke the lane's protocol.
	ErrProtocol = errors.New("the other side broke the lane's protocol")
	// ErrNesting: calls nested this deep, of which there are too many at a time
	// for the lane, don't wait for a slot: it might never come.
	ErrNesting = errors.New("too many calls are nested too deeply")
	// ErrReleased: a buffer was used after it was freed, given away or, for a
	// borrowed one, after its call was over.
	ErrReleased = errors.New("buffer used after its release")
	// ErrLent: a buffer was used while the other side has it.
	ErrLent = errors.New("buffer is lent to a call in flight")
	// ErrWaited: a call was waited for twice.
	ErrWaited = errors.New("call was waited for already")
)

// Handler serves the calls that arrive on a lane.
type Handler interface {
	// ServeCall handles one call and leaves its results, or its failure, in q.
	// It runs on a goroutine of the lane's; several run at once.
	ServeCall(ctx context.Context, q *Request)
}

// Ref names a range of a lane's arena on the wire.
type Ref struct {
	Arena uint32
	Len   uint32
	Off   uint64
}

// Loans is a message in the making: buffers that it refers to are handed over
// with it.
type Loans interface{ Lend(Buffer) (Ref, error) }

// Borrows is a message being read: it resolves the buffers it refers to.
type Borrows interface{ Borrow(Ref) (Buffer, error) }

// Answer is what came back from a call.
type Answer struct {
	Payload []byte // private memory, valid until End; for good if Owned
	Status  uint32 // 0 is success; the rest is up to the layer above
	Owned   bool
}
