package shm

import (
	"sync"
	"time"
)

// movable is a moment that can be moved, and waited for.
type movable struct {
	mu    sync.Mutex
	timer *time.Timer
	done  chan struct{} // closed once the moment has passed
}

func newMovable() movable { return movable{done: make(chan struct{})} }

// set moves the moment to t; the zero time is never.
func (d *movable) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.done // the timer's function has run, or is about to
	}
	d.timer = nil
	if isClosed(d.done) {
		d.done = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		close(d.done)
		return
	}
	done := d.done
	d.timer = time.AfterFunc(left, func() { close(done) })
}

// passed is closed when the moment has passed; it holds until set moves it.
func (d *movable) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.done
}

// over tells whether the moment has passed.
func (d *movable) over() bool { return isClosed(d.passed()) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
