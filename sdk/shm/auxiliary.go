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
}

// maxUnread is the half of the ring that calls leave.
const maxUnread = Slots

// send sends s now or, if the other side is behind, after a later one. It wakes
// the other side.
func (a *auxiliary) send(l *Lane, s ring.Submission) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = append(a.waiting, s)
	a.flush(l)
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
		a.unread = append(a.unread, l.send.Send(&a.waiting[sent], nil))
		sent++
	}
	a.waiting = append(a.waiting[:0], a.waiting[sent:]...)
	if sent > 0 {
		ring.Fence()
		l.rousePeer()
	}
}
