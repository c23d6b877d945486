package shm

import (
	"sync/atomic"
	"time"

	"github.com/secgear/secgear/sdk/internal/ring"
)

// apart keeps the two sides of a lane off one processor. A scheduler that finds
// its few processors busy, which two spinning sides make them, wakes a thread
// where its waker runs: there one side's spinning only keeps the other from
// running, and nothing moves either of them away.
//
// Each side notes where it wakes up. The host, when it wakes the enclave again
// and again, looks whether that runs on its own processor, and goes to another
// one. What the enclave notes is only a hint: a lie costs a move now and then.
type apart struct {
	mine, peers *atomic.Uint32 // processor, plus one; nil: not the same machine
	woke        atomic.Int64   // when the other side was woken, since the epoch
	streak      atomic.Int32   // how often in short succession
}

const (
	// succession is how soon after another a wake-up counts as one of a streak.
	succession = 500 * time.Microsecond
	// moveEvery is after how many wake-ups of a streak the host moves.
	moveEvery = 8
)

func (a *apart) init(r *ring.Region, side Role) {
	a.mine, a.peers = r.CPU(side), r.CPU(side.Peer())
}

// note notes where this side runs.
func (a *apart) note() {
	if a.mine != nil {
		if cpu := ring.CPU(); cpu != a.mine.Load() {
			a.mine.Store(cpu)
		}
	}
}

// waking moves the host's thread, which is about to wake the enclave, away from
// the enclave's processor if it has to do so all the time.
func (a *apart) waking() {
	if a.peers == nil {
		return
	}
	now := time.Now().UnixNano()
	if last := a.woke.Swap(now); now-last > int64(succession) {
		a.streak.Store(0)
		return
	}
	if n := a.streak.Add(1); n%moveEvery == 0 {
		if cpu := ring.CPU(); cpu != 0 && cpu == a.peers.Load() {
			ring.LeaveCPU()
		}
	}
}
