package shm

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/secgear/secgear/sdk/internal/ring"
)

// turns counts the callers that take turns: when several goroutines wait for
// short calls, each looks for its own answer whenever the scheduler comes round
// to it, which costs less than to have one look for all and wake them.
type turns struct {
	word  atomic.Uint64 // how often anybody has, ever, << turnsShift | how many do now
	procs int32
	_     [ring.Line - 12]byte
}

const turnsShift = 16

// enter counts one more, and returns how many there are. It is a full barrier.
func (t *turns) enter() int32 { return int32(t.word.Add(1<<turnsShift+1) % (1 << turnsShift)) }

func (t *turns) leave() { t.word.Add(^uint64(0)) }

func (t *turns) waiting() int32 { return int32(t.word.Load() % (1 << turnsShift)) }

func (t *turns) taken() uint64 { return t.word.Load() >> turnsShift }

const (
	// maxTurns is how often a caller lets others run before it waits in earnest,
	// and maxTaken how long; the clock is read every someTurns.
	maxTurns  = 64
	maxTaken  = time.Millisecond
	someTurns = 16
	// turnPauses is how long it looks each time, if there are processors enough.
	turnPauses = 16
)

// takeTurns waits for c's answer while others wait for theirs. It returns true
// when the answer is there and c's owner's to read. Without, c has become tired,
// or is alone, or there is a call to take: somebody should poll.
//
// One of those who take turns holds poll and looks for the others, too.
func (l *Lane) takeTurns(c *Call) bool {
	n := l.turns.enter() // a full barrier: the submission is out
	defer l.turns.leave()
	l.wakePeer()
	polls := false
	defer func() {
		if polls {
			l.stopPolling()
		}
	}()
	var begun time.Time
	own := l.answers.Word(c.slot)
	for turn := range maxTurns {
		if own.Load() == c.gen || !c.is(stateFlying) {
			return c.move(stateFlying, stateTaken)
		}
		if l.closed.Load() || c.bounded && contextErr(c.ctx) != nil {
			break
		}
		if !polls && !l.poll.held() {
			if polls, _ = l.poll.tryCaller(); polls {
				l.setAwake()
			}
		}
		if polls {
			if n == 1 || l.recv.Ready() {
				return false
			}
			if l.parked.Load() != 0 {
				l.notice(l.slots.taken())
			}
		}
		if turn%someTurns == someTurns-1 {
			if now := time.Now(); begun.IsZero() {
				begun = now
			} else if now.Sub(begun) > maxTaken {
				break
			}
		}
		if n <= l.turns.procs && !l.cfg.Cooperative {
			ring.Spin(own, c.gen, own, c.gen, turnPauses)
		}
		runtime.Gosched()
		n = l.turns.waiting()
	}
	c.tired = true
	return false
}
