package shm

import (
	"cmp"
	"math/bits"
	"slices"
	"sync/atomic"

	"github.com/secgear/secgear/sdk/internal/ring"
)

// Namer is a [Handler] that knows the names of what it serves. Calls of
// anything else are counted together, as the other side chooses what it calls.
type Namer interface {
	// MethodName returns the names of a contract and of a method of its; ok is
	// false if these are not served here.
	MethodName(contract uint32, method uint16) (contractName, methodName string, ok bool)
}

// nameOf returns how h names what it serves; without names nothing is known.
func nameOf(h Handler) func(contract uint32, method uint16) (names [2]string, known bool) {
	n, ok := h.(Namer)
	return func(contract uint32, method uint16) (names [2]string, known bool) {
		if ok {
			names[0], names[1], known = n.MethodName(contract, method)
		}
		return names, known
	}
}

// spins counts how often polling was worth it. It belongs to the holder of poll.
type spins struct {
	paid, failed counter
	_            [ring.Line - 16]byte
}

// counts are of what is rare, or slow beside counting it.
type counts struct {
	parks, sleeps, stalls    atomic.Uint64
	wakesSent, wakesReceived atomic.Uint64
	mostWorkers              atomic.Int32
}

func (n *counts) noteWorkers(now int32) {
	for {
		most := n.mostWorkers.Load()
		if now <= most || n.mostWorkers.CompareAndSwap(most, now) {
			return
		}
	}
}

// MethodStats are the calls of one method on one lane, or on several. In JSON,
// the names of fields are stable.
type MethodStats struct {
	Contract   string `json:"contract"` // name; empty: not known
	Method     string `json:"method"`
	ContractID uint32 `json:"contract_id"` // fingerprint
	MethodID   uint16 `json:"method_id"`   // place in the contract

	Begun    uint64 `json:"begun"`     // calls
	Failed   uint64 `json:"failed"`    // of them, those that ended in an error, of whichever side
	InFlight uint64 `json:"in_flight"` // of them, those that have not ended

	// Encoded arguments and results, by the path they took.
	InlineBytes uint64 `json:"inline_bytes"` // inside entries and reply lines: estimated from the calls that are timed
	ArenaBytes  uint64 `json:"arena_bytes"`  // through an arena
	BellBytes   uint64 `json:"bell_bytes"`   // over the doorbell: switched calls
	BufferBytes uint64 `json:"buffer_bytes"` // beside these: shared buffers that were handed over

	Latency Latency `json:"latency"`
}

// Stats are the numbers of one end of a lane since it was opened. They are
// taken while calls go on: each is right for some moment, and no two need be of
// the same. In JSON, the names of fields are stable.
type Stats struct {
	Made   []MethodStats `json:"made"`   // calls to the other side, sorted by name
	Served []MethodStats `json:"served"` // calls of the other side's (those that no name is known for, as one)

	SpinsPaid   uint64 `json:"spins_paid"`   // waits that ended while a processor was kept busy
	SpinsFailed uint64 `json:"spins_failed"` // those that outlasted the patience to do so
	Turns       uint64 `json:"turns"`        // waits in which callers took turns
	Parks       uint64 `json:"parks"`        // waits of a caller's goroutine on a channel
	Sleeps      uint64 `json:"sleeps"`       // of idle workers, in the kernel
	WakesSent   uint64 `json:"wakes_sent"`   // wake-ups of the other side
	WakesHeard  uint64 `json:"wakes_heard"`  // sleeps that the other side, or this one, ended
	Stalls      uint64 `json:"stalls"`       // nothing was taken for so long that a second worker was woken

	Streams            int    `json:"streams"`              // that are open
	StreamsOpened      uint64 `json:"streams_opened"`       // since the beginning, by either side
	StreamReadBytes    uint64 `json:"stream_read_bytes"`    // by this side
	StreamWrittenBytes uint64 `json:"stream_written_bytes"` // by this side

	SlotsInUse     int `json:"slots_in_use"`
	Slots          int `json:"slots"`
	Workers        int `json:"workers"` // goroutines that serve, or may
	WorkersAsleep  int `json:"workers_asleep"`
	WorkersMost    int `json:"workers_most"`    // at a time, since the beginning
	WorkersAllowed int `json:"workers_allowed"` // handlers at a time, nested ones aside
	Queued         int `json:"queued"`          // calls that wait for a worker

	ArenaNowBytes  int `json:"arena_now_bytes"` // of this side's arena, buffers included
	ArenaMostBytes int `json:"arena_most_bytes"`
	ArenaSizeBytes int `json:"arena_size_bytes"`
}

// Stats returns the lane's numbers. It delays nobody and may be called at any
// time, after the lane's end too.
func (l *Lane) Stats() Stats {
	s := Stats{
		Made: l.made.stats(l.slots.taken()), Served: l.served.stats(l.serving()),
		SpinsPaid: l.polled.paid.load(), SpinsFailed: l.polled.failed.load(),
		Turns: l.turns.taken(), Parks: l.counts.parks.Load(), Sleeps: l.counts.sleeps.Load(),
		WakesSent: l.counts.wakesSent.Load(), WakesHeard: l.counts.wakesReceived.Load(),
		Stalls:     l.counts.stalls.Load(),
		SlotsInUse: bits.OnesCount64(l.slots.taken()), Slots: Slots,
		Workers: int(l.workers.Load()), WorkersAsleep: int(l.sleepers.Load()),
		WorkersMost: int(l.counts.mostWorkers.Load()), WorkersAllowed: l.cfg.Workers,
		Queued: int(l.queue.n.Load()),
	}
	if l.region != nil {
		l.streams.count(&s)
		s.ArenaNowBytes, s.ArenaMostBytes = l.arena.Use()
		s.ArenaSizeBytes = l.region.ArenaSize()
	}
	return s
}

// serving is the set of slots whose calls are being handled.
func (l *Lane) serving() (set uint64) {
	for i := range l.requests {
		if q := l.requests[i].Load(); q != nil && q.gen.Load() != 0 {
			set |= 1 << i
		}
	}
	return set
}

// stats sums up the tallies of each method. busy are the slots in use.
func (g *ledger) stats(busy uint64) []MethodStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	sums := make(map[*record]*MethodStats, len(g.records))
	for _, t := range g.list {
		m := sums[t.of]
		if m == nil {
			m = &MethodStats{ContractID: t.of.contract, MethodID: t.of.method}
			if names := t.of.names.Load(); names != nil {
				m.Contract, m.Method = names[0], names[1]
			}
			sums[t.of] = m
		}
		t.addTo(m, g.shared.all[t.key] == t)
	}
	for ; busy != 0; busy &= busy - 1 {
		if i := g.slots[bits.TrailingZeros64(busy)].current.load(); i != 0 {
			sums[g.list[i-1].of].InFlight++
		}
	}
	list := make([]MethodStats, 0, len(sums))
	for r, m := range sums {
		m.Latency = r.latency.snapshot(g.every)
		list = append(list, *m)
	}
	slices.SortFunc(list, compareMethods)
	return list
}

// addTo adds a tally. What follows is read before what it follows from, so that
// no more seem to have failed than have begun.
func (t *tally) addTo(m *MethodStats, shared bool) {
	m.Failed += t.failed.load()
	m.InlineBytes += t.inline.load()
	m.ArenaBytes += t.arena.load()
	m.BellBytes += t.bell.load()
	m.BufferBytes += t.buffers.load()
	done := t.done.load()
	begun := t.begun.load()
	m.Begun += begun
	if shared {
		m.InFlight += begun - min(begun, done)
	}
}

func compareMethods(a, b MethodStats) int {
	return cmp.Or(
		cmp.Compare(a.Contract, b.Contract), cmp.Compare(a.ContractID, b.ContractID), cmp.Compare(a.MethodID, b.MethodID))
}

// plus adds the calls of one method on another lane.
func (m MethodStats) plus(o MethodStats) MethodStats {
	if m.Contract == "" {
		m.Contract, m.Method = o.Contract, o.Method
	}
	m.Begun += o.Begun
	m.Failed += o.Failed
	m.InFlight += o.InFlight
	m.InlineBytes += o.InlineBytes
	m.ArenaBytes += o.ArenaBytes
	m.BellBytes += o.BellBytes
	m.BufferBytes += o.BufferBytes
	m.Latency = m.Latency.Plus(o.Latency)
	return m
}

// Plus returns the numbers of two lanes together. What is the most of each is
// the sum of both, which they need not have had at the same time.
func (s Stats) Plus(o Stats) Stats {
	s.Made, s.Served = joinMethods(s.Made, o.Made), joinMethods(s.Served, o.Served)
	s.SpinsPaid += o.SpinsPaid
	s.SpinsFailed += o.SpinsFailed
	s.Turns += o.Turns
	s.Parks += o.Parks
	s.Sleeps += o.Sleeps
	s.WakesSent += o.WakesSent
	s.WakesHeard += o.WakesHeard
	s.Stalls += o.Stalls
	s.Streams += o.Streams
	s.StreamsOpened += o.StreamsOpened
	s.StreamReadBytes += o.StreamReadBytes
	s.StreamWrittenBytes += o.StreamWrittenBytes
	s.SlotsInUse += o.SlotsInUse
	s.Slots += o.Slots
	s.Workers += o.Workers
	s.WorkersAsleep += o.WorkersAsleep
	s.WorkersMost += o.WorkersMost
	s.WorkersAllowed += o.WorkersAllowed
	s.Queued += o.Queued
	s.ArenaNowBytes += o.ArenaNowBytes
	s.ArenaMostBytes += o.ArenaMostBytes
	s.ArenaSizeBytes += o.ArenaSizeBytes
	return s
}

// Ended returns the numbers of a lane that has ended: what is now is no more.
func (s Stats) Ended() Stats {
	s.SlotsInUse, s.Slots, s.Workers, s.WorkersAsleep, s.WorkersAllowed, s.Queued = 0, 0, 0, 0, 0, 0
	s.Streams, s.WorkersMost, s.ArenaNowBytes, s.ArenaMostBytes, s.ArenaSizeBytes = 0, 0, 0, 0, 0
	s.Made, s.Served = slices.Clone(s.Made), slices.Clone(s.Served)
	for i := range s.Made {
		s.Made[i].InFlight = 0
	}
	for i := range s.Served {
		s.Served[i].InFlight = 0
	}
	return s
}

func joinMethods(a, b []MethodStats) []MethodStats {
	list := append([]MethodStats{}, a...)
	for _, m := range b {
		i := slices.IndexFunc(list, func(have MethodStats) bool {
			return have.ContractID == m.ContractID && have.MethodID == m.MethodID
		})
		if i < 0 {
			list = append(list, m)
		} else {
			list[i] = list[i].plus(m)
		}
	}
	slices.SortFunc(list, compareMethods)
	return list
}
