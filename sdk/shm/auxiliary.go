package shm

import (
	"sync"

	"github.com/secgear/secgear/sdk/internal/ring"
)

// auxiliary sends the submissions that are not calls. Calls fill at most half
// of the ring; of these, at most the other half is unread at a time.
type auxiliary struct {
	mu      sync.Mutex
	unread  []uint32 // positions
	waiting []ring.Submission

	drains int    // in waiting
	asked  bool   // one was sent,
	drain  uint32 // the last one here
}

// maxUnread is the half of the ring that calls leave.
const maxUnread = Slots

// send sends s now or, if the other side is behind, after a later one. It wakes
// the other side.
func (a *auxiliary) send(l *Lane, s ring.Submission) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.superfluous(l, s) {
		a.waiting = append(a.waiting, s)
		if s.Kind == ring.KindDrain {
			a.drains++
		}
	}
	a.flush(l)
}

// superfluous tells whether s need not be sent. A peer that takes nothing would
// let waiting grow for ever otherwise.
func (a *auxiliary) superfluous(l *Lane, s ring.Submission) bool {
	if s.Kind == ring.KindDrain && (a.drains > 0 || a.asked && !l.send.Consumed(a.drain)) {
		return true // it will be read later than now
	}
	// As many buffers as there can be, and calls to cancel.
	return len(a.waiting) >= l.region.ArenaSize()/ring.Line+Slots
}

func (a *auxiliary) flush(l *Lane) {
	kept := a.unread[:0]
	for _, pos := range a.unread {
		if !l.send.Consumed(pos) {
			kept = append(kept, pos)
		}
	}
	a.unread = kept
	sent := 0
	for sent < len(a.waiting) && len(a.unread) < maxUnread {
		pos := l.send.Send(&a.waiting[sent], nil)
		a.unread = append(a.unread, pos)
		if a.waiting[sent].Kind == ring.KindDrain {
			a.drains, a.asked, a.drain = a.drains-1, true, pos
		}
		sent++
	}
	if sent > 0 {
		a.waiting = append(a.waiting[:0], a.waiting[sent:]...)
		ring.Fence()
		l.rousePeer()
	}
}
