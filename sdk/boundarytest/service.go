package boundarytest

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"github.com/secgear/secgear/sdk/boundarytest/hostile"
	"github.com/secgear/secgear/sdk/internal/ring"
	"github.com/secgear/secgear/sdk/shm"
)

// serviceAttacks are those on a side that serves.
var serviceAttacks = []script{
	{name: "messages changed", run: (*attack).changeMessages},
	{name: "messages cut, extended, bits flipped", run: (*attack).spoilMessages},
	{name: "numbers in messages", run: (*attack).changeNumbers},
	{name: "unknown contracts and methods", run: (*attack).misdirect},
	{name: "lengths and offsets", run: (*attack).lieAboutArguments},
	{name: "slots and generations", run: (*attack).abuseSlots},
	{name: "sequence words", run: (*attack).shuffleSequence},
	{name: "double fetch", run: (*attack).flipArguments},
	{name: "floods of cancels, frees and drains", run: (*attack).floodNotices},
	{name: "flood of calls, no answer read", run: (*attack).floodCalls},
	{name: "wake words", run: (*attack).flipWakeWords},
	{name: "nested calls that lie", run: (*attack).nest},
	{name: "switched calls", run: (*attack).switched},
	{name: "switched calls, no answer read", run: (*attack).switchedDeaf, deaf: true},
	{name: "random memory", run: (*attack).scribbleBeside, legit: true},
	{name: "everything at once", run: (*attack).storm},
}

// slots is the attacker's account of its calls.
type slots struct {
	next int
	use  [shm.Slots]use
	seen []message // accepted by the service, beside those of the suite
}

// use is the last use of a slot.
type use struct {
	gen     uint32
	flying  bool
	message message
}

// base returns a message that the service accepts.
func (a *attack) base() message {
	n := a.rand.IntN(len(a.suite.messages) + len(a.slots.seen))
	if n < len(a.suite.messages) {
		return a.suite.messages[n]
	}
	return a.slots.seen[n-len(a.suite.messages)]
}

// valid returns the submission of m in a free slot, and puts its arguments in
// place. It waits for the slot's last answer.
func (a *attack) valid(m message) (s ring.Submission, ok bool) {
	if len(m.args) > room {
		m.args = m.args[:room]
	}
	slot := a.slots.next
	a.slots.next = (slot + 1) % shm.Slots
	if !a.collect(slot) || !a.await("a submission to be taken", a.Free) {
		return s, false
	}
	u := &a.slots.use[slot]
	*u = use{gen: u.gen + 1, flying: true, message: m}
	s = ring.Submission{Gen: u.gen, Contract: a.suite.Contract.Contract.ID, Method: m.method, Slot: uint8(slot), Len: uint32(len(m.args)), Parent: ring.NoParent}
	if len(m.args) > ring.InlineArgs || a.rand.IntN(4) == 0 {
		s.Kind, s.Offset = ring.KindArena, uint64(slot*room)
		copy(a.Arena(a.Side)[s.Offset:], m.args)
	}
	return s, true
}

// collect waits for the answer of the last call in slot.
func (a *attack) collect(slot int) bool {
	u := &a.slots.use[slot]
	if !u.flying {
		return true
	}
	if !a.await("the answer to a call", func() bool { return a.Answered(slot, u.gen) }) {
		return false
	}
	u.flying = false
	binary.LittleEndian.PutUint32(a.Ack(slot), u.gen)
	if a.Status(slot) == 0 && len(a.slots.seen) < 100 && len(u.message.args) < 1000 {
		a.slots.seen = append(a.slots.seen, u.message)
	}
	return true
}

// deliver submits m, whatever its arguments.
func (a *attack) deliver(m message) bool {
	s, ok := a.valid(m)
	return ok && a.send(s, m.args)
}

// send submits s, which must be answered.
func (a *attack) send(s ring.Submission, args []byte) bool {
	a.Submit(s, args)
	return a.Kick() == nil
}

// collectAll waits for all answers.
func (a *attack) collectAll() bool {
	for slot := range shm.Slots {
		if !a.collect(slot) {
			return false
		}
	}
	return true
}

// changeMessages mutates what the service accepted before.
func (a *attack) changeMessages() {
	for a.more() {
		m := a.base()
		m.args = hostile.Mutate(a.rand, m.args, a.suite.numbers)
		if !a.deliver(m) {
			return
		}
	}
}

// spoilMessages goes through each method's message in order, and then at random.
func (a *attack) spoilMessages() {
	for _, m := range a.suite.messages {
		for _, args := range spoiled(m.args) {
			if !a.more() || !a.deliver(message{method: m.method, args: args}) {
				return
			}
		}
	}
	a.changeMessages()
}

// spoiled returns every truncation of msg, a few extensions, and msg with each
// of its bits flipped.
func spoiled(msg []byte) [][]byte {
	var all [][]byte
	for n := range msg {
		all = append(all, msg[:n])
	}
	for _, n := range []int{1, 2, 3, 4, 7, 8, 64, 4096, room} {
		all = append(all, append(slices.Clone(msg), make([]byte, n)...))
	}
	for i := range 8 * min(len(msg), 128) {
		flipped := slices.Clone(msg)
		flipped[i/8] ^= 1 << (i % 8)
		all = append(all, flipped)
	}
	return all
}

// changeNumbers puts the numbers that tend to be mistaken for lengths in each
// place of each method's message, in random order.
func (a *attack) changeNumbers() {
	for a.more() {
		m := a.suite.messages[a.rand.IntN(len(a.suite.messages))]
		n := a.suite.numbers[a.rand.IntN(len(a.suite.numbers))]
		args := slices.Clone(m.args)
		switch at := a.rand.IntN(len(args) + 1); {
		case at+8 <= len(args) && a.rand.IntN(2) == 0:
			binary.LittleEndian.PutUint64(args[at:], n)
		case at+4 <= len(args):
			binary.LittleEndian.PutUint32(args[at:], uint32(n))
		default:
			args = binary.LittleEndian.AppendUint32(args[:at], uint32(n))
		}
		if a.rand.IntN(2) == 0 {
			args = append(args, make([]byte, a.rand.IntN(room-len(args)%room))...)
		}
		if !a.deliver(message{method: m.method, args: args}) {
			return
		}
	}
}

// misdirect calls what is not there; that must not succeed.
func (a *attack) misdirect() {
	for a.more() {
		s, ok := a.valid(a.base())
		if !ok {
			return
		}
		if a.rand.IntN(2) == 0 {
			s.Contract ^= 1 << a.rand.IntN(32)
		} else {
			s.Method = uint16(len(a.suite.messages) + a.rand.IntN(1<<16-len(a.suite.messages)))
		}
		if !a.send(s, nil) || !a.collect(int(s.Slot)) {
			return
		}
		if a.Status(int(s.Slot)) == 0 {
			a.t.Errorf("a call of contract %#x, method %d has results", s.Contract, s.Method)
			return
		}
	}
}

// lieAboutArguments names arguments that are longer than, or outside of, where
// they could be.
func (a *attack) lieAboutArguments() {
	for a.more() {
		s, ok := a.valid(a.base())
		if !ok {
			return
		}
		s.Kind = ring.Kind(a.rand.IntN(2))
		if a.rand.IntN(3) > 0 {
			s.Len = uint32(a.number())
		}
		if a.rand.IntN(3) > 0 {
			s.Offset = a.number()
		}
		if !a.send(s, hostile.Random(a.rand, ring.InlineArgs)) {
			return
		}
	}
}

func (a *attack) number() uint64 { return a.suite.numbers[a.rand.IntN(len(a.suite.numbers))] }

// abuseSlots submits calls in slots that don't exist or are busy, and with
// generations that are none or were answered. In between, honest ones are
// answered.
func (a *attack) abuseSlots() {
	for a.more() {
		s, ok := a.valid(a.base())
		if !ok || !a.send(s, nil) {
			return
		}
		for range a.rand.IntN(20) {
			bad := s
			switch a.rand.IntN(4) {
			case 0:
				bad.Slot = uint8(shm.Slots + a.rand.IntN(256-shm.Slots))
			case 1:
				bad.Gen = 0
			case 2: // busy, or just answered: it may be handled once more
				bad.Method = uint16(a.rand.Uint32())
			case 3:
				bad.Kind = ring.KindCancel
				bad.Gen += uint32(a.rand.IntN(3)) - 1
			}
			if !a.await("a submission to be taken", a.Free) || !a.send(bad, nil) {
				return
			}
		}
	}
}

// shuffleSequence writes sequence words that run ahead, stand still and run
// back, all around the submission that comes next, and then that one.
func (a *attack) shuffleSequence() {
	for a.more() {
		for range a.rand.IntN(10) {
			pos := a.Next() + 1 + uint32(a.rand.IntN(hostile.Entries-1))
			seq := hostile.Published(pos)
			switch a.rand.IntN(4) {
			case 0:
				seq += uint32(a.rand.IntN(7)) - 3
			case 1:
				seq = uint32(a.number())
			case 2:
				seq = a.rand.Uint32()
			case 3:
				seq = a.Sequence(pos) + uint32(a.rand.IntN(3)) - 1
			}
			if seq == hostile.Published(pos) {
				seq++ // or it would be one to take, and we lose count
			}
			a.Put(pos, seq, a.anySubmission(a.rand), nil)
		}
		// What is not the next one's word, on the next one's entry.
		a.Put(a.Next(), hostile.Published(a.Next())+2*uint32(a.rand.IntN(3)+1), a.anySubmission(a.rand), nil)
		next := a.Next()
		a.Submit(a.anySubmission(a.rand), nil)
		if a.Kick() != nil || !a.await("a submission to be taken", func() bool { return a.Taken(next) }) {
			return
		}
	}
}

// anySubmission returns a submission in which everything is likely, also what
// is right.
func (a *attack) anySubmission(r *rand.Rand) ring.Submission {
	number := func() uint64 { return a.suite.numbers[r.IntN(len(a.suite.numbers))] }
	m := a.suite.messages[r.IntN(len(a.suite.messages))]
	s := ring.Submission{
		Gen: 1 + uint32(r.IntN(4)), Contract: a.suite.Contract.Contract.ID, Method: m.method,
		Slot: uint8(r.IntN(shm.Slots + 2)), Kind: ring.Kind(r.IntN(7)), Len: uint32(len(m.args)),
		Parent: uint8(r.IntN(shm.Slots)), ParentGen: uint32(r.IntN(10)), Offset: uint64(r.IntN(arenaSize)),
	}
	switch r.IntN(8) {
	case 0:
		s.Len = uint32(number())
	case 1:
		s.Offset = number()
	case 2:
		s.Level = uint8(r.Uint32())
	case 3:
		s.Timeout = uint32(number())
	case 4:
		s.Parent = ring.NoParent
	case 5:
		s.Kind = ring.Kind(r.Uint32())
	case 6:
		s.Gen = uint32(number())
	}
	return s
}

// flipArguments changes arguments, and what describes them, while the service
// decodes them.
func (a *attack) flipArguments() {
	a.also(func(r *rand.Rand) {
		arena := a.Arena(a.Side)
		for range 200 {
			m := a.suite.messages[r.IntN(len(a.suite.messages))]
			at := min(r.IntN(shm.Slots)*room+r.IntN(len(m.args)+8), len(arena)-4) // arguments may be larger than a slot's room
			n := a.suite.numbers[r.IntN(len(a.suite.numbers))]
			binary.LittleEndian.PutUint32(arena[at:], uint32(n))
			binary.LittleEndian.PutUint32(arena[at:], 0)
		}
	})
	for a.more() {
		m := a.base()
		m.args = append(slices.Clone(m.args), make([]byte, a.rand.IntN(room))...)
		if !a.deliver(m) {
			return
		}
	}
}

// floodNotices sends what is not a call, much of it about calls and buffers
// that do not exist. Calls in between are answered.
func (a *attack) floodNotices() {
	for a.more() {
		for range 100 {
			s := a.anySubmission(a.rand)
			s.Kind = ring.KindCancel + ring.Kind(a.rand.IntN(254))
			if a.rand.IntN(8) > 0 {
				s.Kind = ring.KindCancel + ring.Kind(a.rand.IntN(3))
			}
			if !a.await("a submission to be taken", a.Free) || !a.send(s, nil) {
				return
			}
		}
		// Over the bell, in the name of a call that came through memory.
		slot := a.rand.IntN(shm.Slots)
		cancel := hostile.Frame{Kind: hostile.FrameCancel, Slot: uint8(slot), Gen: a.slots.use[slot].gen}
		if a.Send(cancel, nil) != nil || !a.deliver(a.base()) {
			return
		}
	}
}

// floodCalls submits calls as fast as they are taken, and reads no answer.
func (a *attack) floodCalls() {
	for gen := uint32(1); a.more(); gen++ {
		for slot := range shm.Slots {
			m := a.base()
			a.flood(ring.Submission{
				Gen: gen, Contract: a.suite.Contract.Contract.ID, Method: m.method, Slot: uint8(slot),
				Kind: ring.KindArena, Len: uint32(a.rand.IntN(arenaSize)), Parent: ring.NoParent,
			})
		}
	}
}

// flood submits s, unless there is no room for it.
func (a *attack) flood(s ring.Submission) {
	if a.Free() {
		a.Submit(s, nil)
	}
	// The stream's end doesn't keep it from going on.
	_ = a.Kick()
}

// flipWakeWords writes wake words; calls are answered all the same.
func (a *attack) flipWakeWords() {
	a.also(func(r *rand.Rand) {
		for range 100 {
			v := uint32(r.IntN(4))
			if r.IntN(10) == 0 {
				v = r.Uint32()
			}
			binary.LittleEndian.PutUint32(a.Wake(ring.Side(r.IntN(2))), v)
		}
	})
	for a.more() {
		if !a.deliver(a.base()) || a.rand.IntN(4) == 0 && !a.collectAll() {
			return
		}
	}
}

// nest makes calls in the name of calls that the service's side makes, and
// answers these late or never.
func (a *attack) nest() {
	callers := startCallers(a.t, a.suite.Calls, a.victim, 4)
	defer callers.stop(a.t)
	for a.more() && a.victim.Err() == nil {
		var out ring.Submission
		parent := ring.Submission{Slot: uint8(a.rand.Uint32()), Gen: a.rand.Uint32()}
		if a.Take(&out) && out.Kind <= ring.KindArena {
			parent = out
		} else if f, ok := a.switchedCall(); ok {
			parent.Slot, parent.Gen = f.Slot, f.Gen
		}
		for range a.rand.IntN(8) {
			s, ok := a.valid(a.base())
			if !ok {
				return
			}
			s.Parent, s.ParentGen, s.Level = parent.Slot, parent.Gen, uint8(a.rand.Uint32())
			if a.rand.IntN(4) == 0 {
				s.ParentGen += uint32(a.rand.IntN(3)) - 1
			}
			if !a.send(s, nil) {
				return
			}
		}
		if a.rand.IntN(3) > 0 {
			a.Reply(int(parent.Slot), parent.Gen, ring.Reply{Len: uint32(a.number()), Status: uint32(a.rand.IntN(2))}, nil)
		}
	}
}

// switchedCall returns the next switched call by the victim, if there is one.
func (a *attack) switchedCall() (hostile.Frame, bool) {
	select {
	case f := <-a.calls:
		return f, true
	default:
		return hostile.Frame{}, false
	}
}

// switched sends changed messages over the bell. Each is answered.
func (a *attack) switched() {
	gens := [shm.Slots]uint32{}
	for a.more() {
		m := a.base()
		m.args = hostile.Mutate(a.rand, m.args, a.suite.numbers)
		slot := a.rand.IntN(shm.Slots)
		gens[slot]++
		f := a.callFrame(a.rand, m, slot, gens[slot])
		noise := hostile.Frame{Kind: hostile.FrameCancel + uint8(a.rand.IntN(2)), Slot: uint8(a.rand.Uint32()), Gen: a.rand.Uint32()}
		answerToNothing := hostile.Frame{Kind: hostile.FrameAnswer, Slot: uint8(a.rand.Uint32()), Gen: uint32(a.rand.IntN(3))}
		if a.Send(f, m.args) != nil || a.Send(noise, nil) != nil || a.Send(answerToNothing, m.args) != nil {
			return
		}
		if !a.await("the answer to a switched call", func() bool { return len(a.answers) > 0 }) {
			return
		}
		if got := <-a.answers; got.Slot != f.Slot || got.Gen != f.Gen {
			a.t.Errorf("answered slot %d, generation %d instead of %d, %d", got.Slot, got.Gen, f.Slot, f.Gen)
			return
		}
	}
}

func (a *attack) callFrame(r *rand.Rand, m message, slot int, gen uint32) hostile.Frame {
	return hostile.Frame{
		Kind: hostile.FrameCall, Slot: uint8(slot), Gen: gen, Contract: a.suite.Contract.Contract.ID, Method: m.method,
		Parent: uint8(r.Uint32()), ParentGen: uint32(r.IntN(4)), Level: uint8(r.Uint32()), Timeout: r.Uint32(),
	}
}

// switchedDeaf makes switched calls and reads no answer.
func (a *attack) switchedDeaf() {
	for gen := uint32(1); a.more(); gen++ {
		for slot := range shm.Slots {
			m := a.base()
			f := a.callFrame(a.rand, m, slot, gen)
			if a.Send(f, m.args) != nil {
				return // a slot that is in use ends the lane
			}
		}
	}
}

// scribbleBeside writes random bytes over the lane's memory while an honest
// peer makes calls.
func (a *attack) scribbleBeside() {
	lane, err := shm.Open(a.end, a.Side, a.suite.mux, shm.Config{Cooperative: true})
	if err != nil {
		a.t.Error(err)
		return
	}
	callers := startCallers(a.t, a.suite.Calls, lane, 4)
	// A sequence word overwritten at once might keep all calls from the service.
	if a.await("a call to be served", func() bool { return a.served.Load() > 0 }) {
		a.also(a.scribble)
		for a.more() {
			a.scribble(a.rand)
		}
	}
	callers.stop(a.t)
	closeLane(a.t, lane)
}

// scribble overwrites some bytes of the memory.
func (a *attack) scribble(r *rand.Rand) {
	limit := len(a.Mem)
	if r.IntN(4) > 0 {
		limit = ring.HeaderSize // where it hurts
	}
	for range 50 {
		at := r.IntN(limit - 8)
		if at%ring.Line < 4 && r.IntN(50) > 0 {
			continue // after a word like these the victim may well wait for ever
		}
		switch r.IntN(4) {
		case 0:
			binary.LittleEndian.PutUint32(a.Mem[at&^3:], uint32(r.IntN(5)))
		case 1:
			binary.LittleEndian.PutUint32(a.Mem[at&^3:], uint32(a.suite.numbers[r.IntN(len(a.suite.numbers))]))
		case 2:
			a.Mem[at] = byte(r.Uint32())
		case 3:
			binary.LittleEndian.PutUint64(a.Mem[at:], r.Uint64())
		}
	}
}

// storm does several of the above at once, while the service's side calls too.
func (a *attack) storm() {
	callers := startCallers(a.t, a.suite.Calls, a.victim, 4)
	defer callers.stop(a.t)
	a.also(a.scribble)
	a.also(func(r *rand.Rand) {
		slot := r.IntN(shm.Slots)
		m := a.suite.messages[r.IntN(len(a.suite.messages))]
		f := a.callFrame(r, m, slot, r.Uint32())
		f.Kind = uint8(hostile.FrameAnswer + r.IntN(3))
		// The stream's end doesn't end the storm.
		_ = a.Send(f, nil)
	})
	for a.more() {
		for range 20 {
			a.flood(a.anySubmission(a.rand))
		}
		var out ring.Submission
		for a.Take(&out) {
			a.Reply(int(out.Slot), out.Gen+uint32(a.rand.IntN(3))-1, ring.Reply{Len: uint32(a.number()), Status: uint32(a.rand.IntN(3)), Arena: a.rand.IntN(2) == 0, Offset: a.number()}, nil)
		}
	}
}
