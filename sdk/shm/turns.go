package shm

import (
	"runtime"
	"sync/atomic"

	"github.com/secgear/secgear/sdk/internal/ring"
)

// turns counts the callers that take turns: when several goroutines wait for
// short calls, each looks for its own answer whenever the scheduler comes round
// to it, which costs less than to have one look for all and wake them.
type turns struct {
	n     atomic.Int32
	procs int32
	_     [ring.Line - 8]byte
}

const (
	// maxTurns is how often a caller lets others run before it waits in earnest.
	maxTurns = 64
	// turnPauses is how long it looks each time, if there are processors enough.
	turnPauses = 16
)

// takeTurns waits for c's answer while others wait for theirs. It returns true
// when the answer is there and c's owner's to read. Without, c has become tired,
// or is alone, or there is a call to take: somebody should poll.
//
// One of those who take turns holds poll and looks for the others, too.
func (l *Lane) takeTurns(c *Call) bool {
	n := l.turns.n.Add(1) // a full barrier: the submission is out
	defer l.turns.n.Add(-1)
	l.wakePeer()
	polls := false
	own := l.answers.Word(c.slot)
	for range maxTurns {
		if own.Load() == c.gen || !c.is(stateFlying) {
			if polls {
				l.stopPolling()
			}
			return c.move(stateFlying, stateTaken)
		}
		if !polls && !l.poll.held() {
			if polls, _ = l.poll.tryCaller(); polls {
				l.setAwake()
			}
		}
		if polls {
			if n == 1 || l.recv.Ready() || l.closed.Load() {
				l.stopPolling()
				return false
			}
			if l.parked.Load() != 0 {
				l.notice(l.slots.taken())
			}
		}
		if n <= l.turns.procs && !l.cfg.Cooperative {
			ring.Spin(own, c.gen, own, c.gen, turnPauses)
		}
		runtime.Gosched()
		n = l.turns.n.Load()
	}
	if polls {
		l.stopPolling()
	}
	c.tired = true
	return false
}
