package boundarytest

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/secgear/secgear/sdk/boundarytest/hostile"
	"github.com/secgear/secgear/sdk/internal/ring"
	"github.com/secgear/secgear/sdk/shm"
)

// clientAttacks are those on a side that calls.
var clientAttacks = []script{
	{name: "results changed", run: (*attack).changeResults},
	{name: "lengths and offsets", run: (*attack).lieAboutResults},
	{name: "statuses", run: (*attack).anyStatus},
	{name: "generations", run: (*attack).replay},
	{name: "replies to calls not made", run: (*attack).answerNothing},
	{name: "no answers", run: (*attack).silence},
	{name: "late answers", run: (*attack).late},
	{name: "the wrong way back", run: (*attack).wrongWay},
	{name: "double fetch", run: (*attack).flipResults},
	{name: "nested calls", run: (*attack).callBack},
	{name: "flood of nested calls", run: (*attack).floodCallBack},
	{name: "random memory", run: (*attack).serveAndScribble},
}

// request is a call by the victim that the attacker is to answer.
type request struct {
	slot         int
	gen          uint32
	method       uint16
	overBell     bool
	cancellation bool
}

// serve has answer deal with each of the victim's calls until the attack is
// over.
func (a *attack) serve(answer func(request)) {
	for a.more() {
		if q, ok := a.receive(); ok && !q.cancellation {
			answer(q)
		}
		// The victim closes the stream when it has had enough.
		_ = a.Kick()
	}
}

// receive returns the next call of the victim, if there is one.
func (a *attack) receive() (request, bool) {
	if f, ok := a.switchedCall(); ok {
		return request{slot: int(f.Slot), gen: f.Gen, method: f.Method, overBell: true}, true
	}
	var s ring.Submission
	if !a.Take(&s) {
		return request{}, false
	}
	return request{slot: int(s.Slot), gen: s.Gen, method: s.Method, cancellation: s.Kind > ring.KindArena}, true
}

// results are those that the real service answers q with.
func (a *attack) results(q request) []byte {
	if int(q.method) < len(a.suite.messages) {
		return a.suite.messages[q.method].results
	}
	return nil
}

// answer answers q over the way it came.
func (a *attack) answer(q request, status uint32, results []byte) {
	if q.overBell {
		a.answerBell(q, status, results)
		return
	}
	a.answerShared(q, status, results)
}

func (a *attack) answerBell(q request, status uint32, results []byte) {
	// The stream's end is the victim's answer to this.
	_ = a.Send(hostile.Frame{Kind: hostile.FrameAnswer, Slot: uint8(q.slot), Gen: q.gen, Contract: status}, results)
}

func (a *attack) answerShared(q request, status uint32, results []byte) {
	r := ring.Reply{Status: status, Len: uint32(len(results))}
	if len(results) > ring.InlineResults || a.rand.IntN(4) == 0 {
		r.Arena, r.Offset = true, uint64(q.slot%shm.Slots*room)
		r.Len = uint32(copy(a.Arena(a.Side)[r.Offset:][:room], results))
	}
	a.Reply(q.slot, q.gen, r, results)
}

// changeResults mutates what the real service answers.
func (a *attack) changeResults() {
	a.serve(func(q request) {
		a.answer(q, 0, hostile.Mutate(a.rand, a.results(q), a.suite.numbers))
	})
}

// lieAboutResults says that results are longer than, or outside of, where they
// could be.
func (a *attack) lieAboutResults() {
	copy(a.Arena(a.Side), hostile.Random(a.rand, arenaSize))
	a.serve(func(q request) {
		if q.overBell {
			a.answer(q, 0, make([]byte, a.rand.IntN(arenaSize)))
			return
		}
		r := ring.Reply{Arena: a.rand.IntN(2) == 0, Len: uint32(a.rand.IntN(200)), Offset: uint64(a.rand.IntN(arenaSize))}
		if a.rand.IntN(2) == 0 {
			r.Len = uint32(a.number())
		}
		if a.rand.IntN(2) == 0 {
			r.Offset = a.number()
		}
		a.Reply(q.slot, q.gen, r, hostile.Random(a.rand, ring.InlineResults))
	})
}

// anyStatus answers with statuses that exist and that don't.
func (a *attack) anyStatus() {
	a.serve(func(q request) {
		status := uint32(a.number())
		if a.rand.IntN(2) == 0 {
			status = 0x8000 + uint32(a.rand.IntN(20))
		}
		a.answer(q, status, hostile.Random(a.rand, a.rand.IntN(2000)))
	})
}

// replay publishes answers to earlier, later and no generations in the slot
// before the right one.
func (a *attack) replay() {
	a.serve(func(q request) {
		right := q.gen
		for range a.rand.IntN(5) {
			switch a.rand.IntN(4) {
			case 0:
				q.gen = right + uint32(a.rand.IntN(5)) - 2
			case 1:
				q.gen = 0
			case 2:
				q.gen = right ^ 1<<a.rand.IntN(32)
			case 3:
				q.gen = a.rand.Uint32()
			}
			a.answer(q, 0, a.results(q))
		}
		q.gen = right
		a.answer(q, 0, a.results(q))
	})
}

// answerNothing answers calls that were not made, again and again, beside those
// that were.
func (a *attack) answerNothing() {
	a.also(func(r *rand.Rand) {
		for range 20 {
			a.Reply(r.IntN(shm.Slots), uint32(r.IntN(100)), ring.Reply{Len: uint32(r.IntN(200)), Status: uint32(r.IntN(2))}, nil)
		}
		q := request{slot: r.IntN(256), gen: uint32(r.IntN(100))}
		a.answerBell(q, 0, make([]byte, r.IntN(1000)))
	})
	a.serve(func(q request) { a.answer(q, 0, a.results(q)) })
}

// silence takes calls and answers none.
func (a *attack) silence() { a.serve(func(request) {}) }

// late answers after the calls were given up, and some of them twice.
func (a *attack) late() {
	var waiting []request
	a.serve(func(q request) {
		waiting = append(waiting, q)
		if len(waiting) < 20 {
			return
		}
		for range 10 {
			old := waiting[a.rand.IntN(len(waiting))]
			a.answer(old, 0, a.results(old))
		}
		waiting = waiting[10:]
	})
}

// wrongWay answers over the bell what came through memory and the reverse, and
// some of it both ways.
func (a *attack) wrongWay() {
	a.serve(func(q request) {
		if a.rand.IntN(2) == 0 {
			a.answerShared(q, 0, a.results(q))
		}
		if a.rand.IntN(2) == 0 {
			a.answerBell(q, 0, a.results(q))
		}
	})
}

// flipResults changes results, and what describes them, while the client reads
// them.
func (a *attack) flipResults() {
	a.also(func(r *rand.Rand) {
		arena := a.Arena(a.Side)
		for range 100 {
			slot := r.IntN(shm.Slots)
			n := a.suite.numbers[r.IntN(len(a.suite.numbers))]
			binary.LittleEndian.PutUint32(arena[slot*room+r.IntN(64):], uint32(n))
			// The words of a reply after the one that publishes it.
			binary.LittleEndian.PutUint32(a.ReplyLine(slot)[4+4*r.IntN(5):], uint32(n)&uint32(r.Uint32()))
		}
	})
	a.serve(func(q request) { a.answer(q, 0, a.results(q)) })
}

// callBack makes nested calls, some in the name of other calls, before it
// answers.
func (a *attack) callBack() {
	a.serve(func(q request) {
		for range a.rand.IntN(6) {
			s, ok := a.valid(a.base())
			if !ok {
				return
			}
			s.Parent, s.ParentGen, s.Level = uint8(q.slot), q.gen, uint8(a.rand.Uint32())
			if a.rand.IntN(4) == 0 {
				s.Parent, s.ParentGen = uint8(a.rand.Uint32()), q.gen+uint32(a.rand.IntN(3))-1
			}
			if !a.send(s, nil) {
				return
			}
		}
		a.answer(q, 0, a.results(q))
	})
}

// floodCallBack answers nothing but keeps the victim busy with calls of its own,
// in the name of the victim's, and with submissions that mean nothing.
func (a *attack) floodCallBack() {
	var parent request
	for a.more() {
		if q, ok := a.receive(); ok && !q.cancellation {
			parent = q
		}
		for range 20 {
			s := a.anySubmission(a.rand)
			s.Parent, s.ParentGen = uint8(parent.slot), parent.gen
			a.flood(s)
		}
	}
}

// serveAndScribble answers rightly while random bytes are written everywhere.
func (a *attack) serveAndScribble() {
	a.also(a.scribble)
	a.serve(func(q request) { a.answer(q, 0, a.results(q)) })
}
