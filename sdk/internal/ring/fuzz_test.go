package ring

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// lineMap is the simplest allocator there is: a line is free, or belongs to the
// range that begins at owner-1.
type lineMap struct{ owner [64]int }

func (m *lineMap) alloc(n int) (int, bool) {
	lines := max((n+Line-1)/Line, 1)
	for at := 0; at+lines <= len(m.owner); at++ {
		if m.fits(at, lines) {
			for i := range lines {
				m.owner[at+i] = at + 1
			}
			return at * Line, true
		}
	}
	return 0, false
}

func (m *lineMap) fits(at, lines int) bool {
	for i := range lines {
		if m.owner[at+i] != 0 {
			return false
		}
	}
	return true
}

func (m *lineMap) release(off uint64) bool {
	at := int(off / Line)
	if off%Line != 0 || off/Line >= uint64(len(m.owner)) || m.owner[at] != at+1 {
		return false
	}
	for i := at; i < len(m.owner) && m.owner[i] == at+1; i++ {
		m.owner[i] = 0
	}
	return true
}

func (m *lineMap) inUse() int {
	n := 0
	for _, o := range m.owner {
		if o != 0 {
			n += Line
		}
	}
	return n
}

// FuzzArena compares an arena with a map of its lines: three bytes make an
// allocation (of a length in bytes) or a release (of any offset).
func FuzzArena(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 0, 0, 0, 4, 1, 0, 0, 1, 128, 0, 0, 0, 2})
	f.Add([]byte{0, 255, 31, 1, 0, 0, 0, 0, 32, 0, 1, 32, 1, 1, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		var m lineMap
		var a Arena
		a.Init(len(m.owner) * Line)
		for ; len(script) >= 3; script = script[3:] {
			n := int(binary.LittleEndian.Uint16(script[1:]))
			if script[0]&1 == 0 {
				off, ok := a.Alloc(n)
				want, fits := m.alloc(n)
				if ok != fits || ok && off != uint64(want) {
					t.Fatalf("%d bytes: at %d, %v; want %d, %v", n, off, ok, want, fits)
				}
			} else if ok, want := a.Free(uint64(n)), m.release(uint64(n)); ok != want {
				t.Fatalf("freeing %d: %v, want %v", n, ok, want)
			}
			if got, want := a.InUse(), m.inUse(); got != want {
				t.Fatalf("%d bytes in use, want %d", got, want)
			}
		}
	})
}

// FuzzSubmissionRoundTrip sends submissions and replies over rings at any
// position, and expects them to arrive as they were sent; then it writes over
// the region and expects what is taken to stay within its bounds.
func FuzzSubmissionRoundTrip(f *testing.F) {
	f.Add(uint32(0), uint32(1), uint32(2), uint16(3), uint8(4), uint8(0), uint32(10), uint32(0), uint8(0xff), uint8(0), uint32(0), uint64(0), []byte("0123456789"))
	f.Add(uint32(1<<32-1), uint32(1<<32-1), uint32(0), uint16(0), uint8(255), uint8(1), uint32(1<<32-1), uint32(7), uint8(63), uint8(255), uint32(1<<31), uint64(1<<63), []byte{1})
	f.Fuzz(func(t *testing.T, pos, gen, contract uint32, method uint16, slot, kind uint8, n, pgen uint32, parent, level uint8, timeout uint32, off uint64, args []byte) {
		r, err := NewRegion(Alloc(MinSize))
		if err != nil {
			t.Fatal(err)
		}
		s := Submission{
			Gen: gen, Contract: contract, Method: method, Slot: slot, Kind: Kind(kind), Len: n,
			ParentGen: pgen, Parent: parent, Level: level, Timeout: timeout, Offset: off,
		}
		if s.Kind == KindInline {
			args = args[:min(len(args), InlineArgs)]
			s.Offset, s.Len = 0, uint32(len(args))
			copy(s.Inline[:], args)
		}
		for _, side := range []Side{Host, Enclave} {
			roundTrip(t, r, side, pos%(3*entries), s, args)
			replyTrip(t, r, side, int(slot), gen, Reply{Len: n, Status: timeout, Arena: kind&1 == 1, Offset: off}, args)
			overwritten(t, r, side, args)
		}
	})
}

// roundTrip has s follow pos others through side's ring.
func roundTrip(t *testing.T, r *Region, side Side, pos uint32, s Submission, args []byte) {
	t.Helper()
	var out Sender
	var in Receiver
	out.Init(r, side)
	in.Init(r, side)
	clear(r.mem)
	var got Submission
	for range pos {
		out.Send(&Submission{Kind: KindDrain}, nil)
		if !in.Take(&got) || got.Kind != KindDrain {
			t.Fatalf("got %+v", got)
		}
		in.Consume()
	}
	if in.Ready() || in.Take(&got) {
		t.Fatal("took what was not sent")
	}
	if at := out.Send(&s, args); at != pos || at != out.Last() {
		t.Fatalf("sent at %d, last %d, want %d", at, out.Last(), pos)
	}
	if out.Consumed(pos) {
		t.Fatal("consumed before it was taken")
	}
	got = Submission{}
	if !in.Ready() || !in.Take(&got) || got != s {
		t.Fatalf("got  %+v\nsent %+v", got, s)
	}
	in.Consume()
	if !out.Consumed(pos) || in.Ready() {
		t.Fatal("not consumed")
	}
}

// replyTrip sends an answer to a call by side.
func replyTrip(t *testing.T, r *Region, side Side, slot int, gen uint32, a Reply, results []byte) {
	t.Helper()
	var answers, replies Replies
	answers.Init(r, side)
	replies.Init(r, side)
	if !a.Arena {
		results = results[:min(len(results), InlineResults)]
		a.Len, a.Offset = uint32(len(results)), 0
	}
	replies.Fill(slot, a, results)
	replies.Publish(slot, gen)
	if answers.Word(slot).Load() != gen {
		t.Fatal("not published")
	}
	var room [InlineResults]byte
	got, inline := answers.Read(slot, &room)
	if got != a || !a.Arena && !bytes.Equal(inline, results) {
		t.Fatalf("got  %+v %x\nsent %+v %x", got, inline, a, results)
	}
	if a.Arena {
		mem, ok := r.Arena(side.Peer(), a.Offset, a.Len)
		if legal := uint64(a.Len) <= uint64(r.arena) && a.Offset <= uint64(r.arena)-uint64(a.Len); ok != legal || ok && len(mem) != int(a.Len) {
			t.Fatalf("%d bytes at %d of %d: %d, %v", a.Len, a.Offset, r.arena, len(mem), ok)
		}
	}
}

// overwritten takes what is there after the header was filled with junk.
func overwritten(t *testing.T, r *Region, side Side, junk []byte) {
	t.Helper()
	for at := 0; len(junk) > 0 && at < HeaderSize; {
		at += copy(r.mem[at:HeaderSize], junk)
	}
	var out Sender
	var in Receiver
	var answers Replies
	out.Init(r, side)
	in.Init(r, side)
	answers.Init(r, side)
	for pos := range uint32(2 * entries) {
		var s Submission
		if in.Take(&s) {
			in.Consume()
		}
		out.Consumed(pos)
		var room [InlineResults]byte
		if _, inline := answers.Read(int(pos), &room); len(inline) > InlineResults {
			t.Fatalf("%d bytes of inline results", len(inline))
		}
	}
}
