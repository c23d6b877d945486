package shm

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/secgear/secgear/sdk/internal/ring"
)

// Counting must cost a call next to nothing: no locked instruction, no clock,
// no allocation, and few instructions at all. So each slot has counters of its
// own for each method that was called over it. They belong to whoever has the
// slot, who adds with a load and a store; Stats sums them up meanwhile. An
// ordinary call adds to one of them. The rest is for calls that fail, take a
// slower path or are timed; what is in flight shows in the slots themselves.

// counter is written by one goroutine at a time and read by any.
type counter struct{ v atomic.Uint64 }

// add adds n without a locked instruction.
func (c *counter) add(n uint64) { ring.StoreRelease64(&c.v, c.v.Load()+n) }

func (c *counter) load() uint64 { return c.v.Load() }

// tally counts the calls of one method over one slot.
type tally struct {
	key   uint64
	of    *record
	index uint64 // 1 + its place in ledger.list
	mask  uint64 // a call is timed when the count of those begun has none of these bits

	begun   counter // calls
	done    counter // of a tally that is shared only
	failed  counter
	inline  counter // bytes inside entries and reply lines, estimated from calls that are timed
	arena   counter // bytes through arenas
	bell    counter // bytes over the doorbell
	buffers counter // bytes of shared buffers handed over, either way

	_ [ring.Line - 11*8]byte // no line with another slot's
}

// begin counts a call and returns how many there have been.
func (t *tally) begin() uint64 {
	n := t.begun.v.Load() + 1
	ring.StoreRelease64(&t.begun.v, n)
	return n
}

// record is what a method's tallies have in common.
type record struct {
	contract uint32
	method   uint16
	names    atomic.Pointer[[2]string] // contract's and method's; nil: not known
	latency  latency
}

func methodKey(contract uint32, method uint16) uint64 { return uint64(contract)<<16 | uint64(method) }

const (
	// otherKey is where calls are counted that the handler has no name for: the
	// other side chooses contract and method, and could fill memory with them.
	otherKey = 1 << 48
	noKey    = 2 << 48
)

// noTally is that of a call not yet used.
var noTally = &tally{key: noKey}

// recentTallies is how many tallies a slot finds at once.
const recentTallies = 16

// tallies are those of one slot, and belong to whoever has it.
type tallies struct {
	current counter // 1 + index in ledger.list of the tally used last
	recent  [recentTallies]*tally
	all     map[uint64]*tally
}

// ledger holds the tallies of one direction of calls.
type ledger struct {
	slots [Slots]tallies
	every uint64                                                             // a call in so many is timed; a power of two
	name  func(contract uint32, method uint16) (names [2]string, known bool) // nil: all are known

	mu      sync.Mutex
	shared  tallies // of calls that have no slot of their own
	list    []*tally
	records map[uint64]*record
}

// find returns slot's tally of a method. The caller has the slot.
func (g *ledger) find(slot int, key uint64) *tally {
	s := &g.slots[slot]
	t := s.recent[(key^key>>16)%recentTallies]
	if t == nil || t.key != key {
		t = g.lookup(s, key)
	}
	ring.StoreRelease64(&s.current.v, t.index)
	return t
}

// lookup finds a tally that was not used lately, or makes it.
func (g *ledger) lookup(s *tallies, key uint64) *tally {
	t := s.all[key]
	if t == nil {
		var names *[2]string
		if g.name != nil {
			n, known := g.name(uint32(key>>16), uint16(key))
			if names = &n; !known {
				key, names = otherKey, nil
			}
		}
		if t = s.all[key]; t == nil {
			t = g.open(s, key, names)
		}
	}
	s.recent[(key^key>>16)%recentTallies] = t
	return t
}

// open adds a tally.
func (g *ledger) open(s *tallies, key uint64, names *[2]string) *tally {
	if s != &g.shared {
		g.mu.Lock()
		defer g.mu.Unlock()
	}
	r := g.records[key]
	if r == nil {
		r = &record{contract: uint32(key >> 16), method: uint16(key)}
		r.names.Store(names)
		if g.records == nil {
			g.records = make(map[uint64]*record)
		}
		g.records[key] = r
	}
	t := &tally{key: key, of: r, index: uint64(len(g.list) + 1)}
	g.list = append(g.list, t)
	if s.all == nil {
		s.all = make(map[uint64]*tally)
	}
	s.all[key] = t
	return t
}

// weigh returns for how many calls the one that was just begun stands: the first
// ones for themselves, and then one in every.
func (g *ledger) weigh(t *tally) (weight uint32) {
	weight = uint32(t.mask + 1)
	if t.begun.load() >= g.every {
		t.mask = g.every - 1
	}
	return weight
}

// refused counts a call that failed before it had a slot.
func (g *ledger) refused(key uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.lookup(&g.shared, key)
	t.begun.add(1)
	t.done.add(1)
	t.failed.add(1)
}

var epoch = time.Now().Add(-1)

// clock is the time since some moment, in nanoseconds, never 0.
func clock() int64 { return int64(time.Since(epoch)) }
