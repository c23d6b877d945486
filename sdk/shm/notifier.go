package shm

import (
	"sync"
	"sync/atomic"
)

// notifier lets goroutines wait for something to become free. Waiting costs
// those who free nothing while nobody waits.
type notifier struct {
	waiters atomic.Int32
	mu      sync.Mutex
	ch      chan struct{}
}

func newNotifier() *notifier { return &notifier{ch: make(chan struct{})} }

// enter begins a wait: what the waiter checks after it can't be missed. The
// channel is closed by the next notify. Every enter is followed by leave.
func (n *notifier) enter() <-chan struct{} {
	n.waiters.Add(1)
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ch
}

func (n *notifier) leave() { n.waiters.Add(-1) }

// wanted tells whether anybody waits. It must follow a full barrier.
func (n *notifier) wanted() bool { return n.waiters.Load() != 0 }

// notify wakes all that wait.
func (n *notifier) notify() {
	if !n.wanted() {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.ch)
	n.ch = make(chan struct{})
}
