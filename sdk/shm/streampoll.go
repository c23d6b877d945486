package shm

import (
	"context"
	"os"

	"github.com/secgear/secgear/sdk/internal/ring"
)

// awaitStream waits until c has a token, which it takes, or returns why the wait
// is over. One who waits alone polls; when there are several, the idle worker
// polls for all.
func (l *Lane) awaitStream(c chan struct{}, by *movable, ctx context.Context) error {
	var cancelled <-chan struct{}
	if ctx != nil {
		cancelled = ctx.Done()
	}
	passed := by.passed()
	for !l.closed.Load() {
		alone := l.streams.waiting.Load() == 0
		if (alone || l.unwatched()) && l.pollAlone(c, passed, cancelled) {
			break
		}
		l.streams.waiting.Add(1) // a full barrier
		if l.unwatched() {
			l.streams.waiting.Add(-1)
			continue
		}
		defer l.streams.waiting.Add(-1)
		break
	}
	select {
	case <-c:
		return nil
	default:
	}
	select {
	case <-c:
		return nil
	case <-passed:
		return os.ErrDeadlineExceeded
	case <-cancelled:
		return context.Cause(ctx)
	case <-l.done:
		return l.err
	}
}

// unwatched tells whether nobody polls, and nobody would be woken to.
func (l *Lane) unwatched() bool {
	return !l.poll.held() && l.yielding.Load() == 0 && l.myWake.Load() == awake
}

// pollAlone polls until c has a token or one of the others is closed. It returns
// false when somebody else polls, or its patience has ended and a worker is
// woken by what comes next.
func (l *Lane) pollAlone(c chan struct{}, passed, cancelled <-chan struct{}) bool {
	ok, asked := l.poll.tryCaller()
	for try := 0; !ok && asked && try < handOverTries; try++ {
		ring.Spin(&l.poll.state, pollFree, &l.poll.state, pollCaller, handOverPauses)
		ok, asked = l.poll.tryCaller()
	}
	if !ok {
		return false
	}
	l.setAwake()
	w := watch{lane: l, pauses: firstPauses}
	for {
		for l.recv.Ready() && !l.closed.Load() {
			l.take(nil)
		}
		if len(c) > 0 {
			l.delivered = false
			l.callSpin.paid()
			l.stopPolling()
			l.entrust()
			return true
		}
		if l.delivered {
			l.delivered = false
			w.restart()
			l.yield()
		}
		others := l.slots.taken()
		if others != 0 && l.notice(others) > 0 {
			w.restart()
			l.yield()
		}
		if l.closed.Load() || isClosed(passed) || isClosed(cancelled) {
			l.stopPolling()
			l.entrust()
			return true
		}
		if w.elapsed > l.callSpin.budget() {
			l.callSpin.failed()
			l.stopPolling()
			l.entrustWorker()
			return false
		}
		w.wait(&l.poll.state, pollWanted, others != 0) // a value it doesn't get
	}
}

// entrust leaves those who wait for streams to the idle worker.
func (l *Lane) entrust() {
	if l.streams.waiting.Load() != 0 {
		l.entrustWorker()
	}
}

// entrustWorker has the other side wake the idle worker with what comes next,
// unless somebody polls.
func (l *Lane) entrustWorker() {
	for {
		if ok, _ := l.poll.tryCaller(); !ok {
			return // whoever has the lock leaves later
		}
		l.myWake.Store(parked) // a full barrier
		come := l.recv.Ready() || l.anyAnswered()
		l.poll.unlock()
		if come {
			l.wakeSelf()
			return
		}
		if l.watched() {
			return
		}
	}
}
