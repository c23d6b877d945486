package shm

import (
	"sync/atomic"

	"github.com/secgear/secgear/sdk/internal/ring"
)

// pollLock says who polls. A caller that waits for an answer takes precedence
// over a worker that is merely idle: it asks, and the worker lets go.
type pollLock struct {
	state atomic.Uint32
	_     [ring.Line - 4]byte
}

const (
	pollFree   = 0
	pollCaller = 1
	pollWorker = 2
	pollWanted = 3 // held by a worker, wanted by somebody else
)

// tryCaller takes the lock for a waiting caller. asked is true when an idle
// worker holds it and has been asked for it.
func (p *pollLock) tryCaller() (ok, asked bool) {
	if p.state.CompareAndSwap(pollFree, pollCaller) {
		return true, false
	}
	return false, p.state.CompareAndSwap(pollWorker, pollWanted) || p.state.Load() == pollWanted
}

// tryWorker takes the lock for an idle worker.
func (p *pollLock) tryWorker() bool { return p.state.CompareAndSwap(pollFree, pollWorker) }

// relieveWorker takes the lock from a worker that has probably just been woken,
// for one that has served: the next call may come at once.
func (p *pollLock) relieveWorker() bool {
	for range handOverTries {
		p.state.CompareAndSwap(pollWorker, pollWanted)
		if p.state.Load() == pollCaller {
			return false
		}
		ring.Spin(&p.state, pollFree, &p.state, pollCaller, handOverPauses)
		if p.tryWorker() {
			return true
		}
	}
	return false
}

// wanted tells the worker that holds the lock to let go.
func (p *pollLock) wanted() bool { return p.state.Load() == pollWanted }

// unlock gives the lock back. It is a release, not a fence.
func (p *pollLock) unlock() { ring.StoreRelease(&p.state, pollFree) }

func (p *pollLock) held() bool { return p.state.Load() != pollFree }
