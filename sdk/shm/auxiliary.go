package shm

import (
	"sync"
	"time"

	"github.com/secgear/secgear/sdk/internal/ring"
)

// auxiliary sends the submissions that are not calls. Calls fill at most half
// of the ring; of these, at most the other half is unread at a time. Nobody
// waits for an answer, so a timer looks after what the other side does not take.
type auxiliary struct {
	mu      sync.Mutex
	unread  []uint32 // positions, in their order
	waiting []ring.Submission

	timer   *time.Timer
	armed   bool
	stopped bool

	drains int    // in waiting
	asked  bool   // one was sent,
	drain  uint32 // the last one here
}

const (
	// maxUnread is the half of the ring that calls leave.
	maxUnread = Slots
	// lookAfter is how long a submission may lie unread, or wait for room.
	lookAfter = 500 * time.Microsecond
)

// send sends s now or, if the other side is behind, after a later one. It wakes
// the other side if that sleeps.
func (a *auxiliary) send(l *Lane, s ring.Submission) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return
	}
	if !a.superfluous(l, s) {
		a.waiting = append(a.waiting, s)
		if s.Kind == ring.KindDrain {
			a.drains++
		}
	}
	a.flush(l)
	a.arm(l)
}

// superfluous tells whether s need not be sent. A peer that takes nothing would
// let waiting grow for ever otherwise.
func (a *auxiliary) superfluous(l *Lane, s ring.Submission) bool {
	if s.Kind == ring.KindDrain && (a.drains > 0 || a.asked && !l.send.Consumed(a.drain)) {
		return true // it will be read later than now
	}
	return len(a.waiting) >= a.most(l)
}

// most is how much can be waiting: as many buffers as there can be on both
// sides, calls to cancel, and what there is to say about every stream.
func (a *auxiliary) most(l *Lane) int {
	return 2*l.region.ArenaSize()/ring.Line + Slots + 4*l.streams.most
}

// flush sends what there is room for. The other side's count is read only when
// the room runs out.
func (a *auxiliary) flush(l *Lane) {
	if len(a.waiting) == 0 {
		return
	}
	if len(a.unread)+len(a.waiting) > maxUnread {
		a.forgetRead(l)
	}
	sent := min(len(a.waiting), maxUnread-len(a.unread))
	for i := range a.waiting[:sent] {
		pos := l.send.Send(&a.waiting[i], nil)
		a.unread = append(a.unread, pos)
		if a.waiting[i].Kind == ring.KindDrain {
			a.drains, a.asked, a.drain = a.drains-1, true, pos
		}
	}
	if sent > 0 {
		a.waiting = append(a.waiting[:0], a.waiting[sent:]...)
		ring.Fence()
		l.wakePeer()
	}
}

// forgetRead drops the positions that were read.
func (a *auxiliary) forgetRead(l *Lane) {
	n := 0
	for n < len(a.unread) && l.send.Consumed(a.unread[n]) {
		n++
	}
	a.unread = append(a.unread[:0], a.unread[n:]...)
}

// arm starts the timer unless it runs.
func (a *auxiliary) arm(l *Lane) {
	switch {
	case a.armed:
		return
	case a.timer == nil:
		a.timer = time.AfterFunc(lookAfter, func() { a.look(l) })
	default:
		a.timer.Reset(lookAfter)
	}
	a.armed = true
}

// look sends what has waited, and rouses the other side if it seems awake and
// takes nothing.
func (a *auxiliary) look(l *Lane) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.armed = false
	if a.stopped {
		return
	}
	before := len(a.unread)
	a.forgetRead(l)
	if before > 0 && len(a.unread) == before {
		l.rousePeer()
	}
	a.flush(l)
	if len(a.unread) > 0 || len(a.waiting) > 0 {
		a.arm(l)
	}
}

// stop ends all sending.
func (a *auxiliary) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	if a.timer != nil {
		a.timer.Stop()
	}
}
