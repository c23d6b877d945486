package shm

import (
	"time"

	"github.com/secgear/secgear/sdk/internal/ring"
)

// The wake word of a side says whether anybody there looks at the rings. The
// side itself sets it to parked before it sleeps and to awake when it polls
// again. The other side, after publishing, looks at it, and if it finds parked
// makes it woken and wakes the sleeper: it never clears a parked that it did
// not see, so that no wake-up is lost.
const (
	awake  = 0
	parked = 1
	woken  = 2
)

// Every sleep is bounded: should a wake-up be lost all the same (a peer that was
// stopped between publishing and waking), things go on after it. The bound
// grows while nothing happens, so that idling costs nothing.
const (
	defaultNap = 100 * time.Millisecond
	longestNap = time.Second
)

// wakePeer wakes the other side if it sleeps. The caller has published
// something and then executed a fence.
func (l *Lane) wakePeer() {
	if l.peerWake.Load() == parked && l.peerWake.CompareAndSwap(parked, woken) {
		l.ringPeer()
	}
}

// rousePeer wakes the other side's idle worker, whether or not somebody seems
// to poll there: what was published is not being taken.
func (l *Lane) rousePeer() {
	l.peerWake.Store(woken)
	l.ringPeer()
}

func (l *Lane) ringPeer() {
	l.counts.wakesSent.Add(1)
	if l.bell.futex {
		if l.side == Host {
			l.apart.waking()
		}
		ring.FutexWake(l.peerWake, 1)
	} else {
		l.bell.sendWake()
	}
}

// wakeSelf wakes this side's sleepers.
func (l *Lane) wakeSelf() {
	if l.region == nil {
		return
	}
	l.myWake.Store(woken)
	if l.bell.futex {
		ring.FutexWake(l.myWake, 1<<30)
	} else {
		l.bell.wakeLocal()
	}
}

// sleep blocks an idle worker until it may be needed, at most nap.
func (l *Lane) sleep(nap time.Duration) {
	v := l.myWake.Load()
	if v != parked {
		if !l.poll.held() {
			return
		}
		// Somebody polls already: what we were woken for is in hand. That they
		// are still at it is checked last: the word may have changed hands
		// several times since. They may find their own answer and leave before
		// they see the rest, so we look again soon.
		if v == woken {
			nap = min(nap, slowWake)
		}
		l.myWake.CompareAndSwap(woken, awake)
		if !l.poll.held() {
			return
		}
		v = awake
	}
	if l.closed.Load() {
		return
	}
	l.counts.sleeps.Add(1)
	if l.bell.futex {
		ring.FutexWait(l.myWake, v, nap)
		l.apart.note()
	} else {
		l.bell.sleep(nap)
	}
	if l.myWake.Load() == woken {
		l.counts.wakesReceived.Add(1)
	}
}

// setAwake notes that somebody polls again. The holder of poll calls it.
func (l *Lane) setAwake() {
	if l.myWake.Load() != awake {
		l.myWake.Store(awake)
	}
}
