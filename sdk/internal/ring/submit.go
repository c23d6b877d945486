package ring

import (
	"encoding/binary"
	"sync/atomic"
)

// Kind says what a submission asks for.
type Kind uint8

// Kinds of submissions.
const (
	KindInline Kind = 0 // a call, its arguments in the entry
	KindArena  Kind = 1 // a call, its arguments in the caller's arena
	KindCancel Kind = 2 // the call in Slot of generation Gen is no longer wanted
	KindFree   Kind = 3 // the buffer at Offset of the receiver's arena is given back
	KindDrain  Kind = 4 // the sender's arena is full: copy answers out of it
)

// InlineArgs is the number of argument bytes that fit an entry.
const InlineArgs = Line - entryHeader

// NoParent is the parent of a call that is not made inside another.
const NoParent = 0xff

// Submission is one entry of a submission ring, in private memory.
//
//	 0 sequence uint32  2·lap+1 published, 2·lap+2 consumed
//	 4 gen      uint32  generation of the slot: binds the reply
//	 8 contract uint32
//	12 method   uint16
//	14 slot     uint8   where the reply goes
//	15 kind     uint8
//	16 len      uint32  bytes of arguments
//	20 pgen     uint32  generation of the parent
//	24 parent   uint8   slot of the call, in the other direction, that this one
//	                    is made inside of; NoParent if none
//	25 level    uint8   how many calls this one is nested in
//	26 –        2 bytes zero
//	28 timeout  uint32  microseconds that are left to the call; 0 unbounded
//	32 args     [96]byte, or the offset in the arena as uint64
type Submission struct {
	Gen, Contract uint32
	Method        uint16
	Slot          uint8
	Kind          Kind
	Len           uint32
	ParentGen     uint32
	Parent        uint8
	Level         uint8
	Timeout       uint32
	Offset        uint64 // KindArena, KindFree
	Inline        [InlineArgs]byte
}

const entryHeader = 32

// Sender is the producing end of a submission ring. Send is safe for
// concurrent use.
type Sender struct {
	r    *Region
	base int
	tail atomic.Uint32 // next position; private, never read back from the region
	_    [Line - 4]byte
}

// Receiver is the consuming end of a submission ring. Its methods must not run
// concurrently.
type Receiver struct {
	r    *Region
	base int
	head uint32 // next position; private
}

func ringBase(caller Side) int {
	if caller == Host {
		return offSubmitEcall
	}
	return offSubmitOcall
}

// Init makes s the ring of calls made by caller.
func (s *Sender) Init(r *Region, caller Side) { s.r, s.base = r, ringBase(caller) }

// Init makes c the ring of calls made by caller.
func (c *Receiver) Init(r *Region, caller Side) { c.r, c.base = r, ringBase(caller) }

func (r *Region) entry(base int, pos uint32) int { return base + int(pos%entries)*Line }

// published and consumed are the sequence words of a position.
func published(pos uint32) uint32 { return pos/entries*2 + 1 }
func consumed(pos uint32) uint32  { return pos/entries*2 + 2 }

// Send publishes a submission with inline arguments args (at most
// [InlineArgs]) and returns its position. The store is a release but no fence:
// a caller that then looks whether the receiver sleeps needs [Fence] in
// between. The entry must be free, which the caller knows from its own count
// of what has not been answered or [Sender.Consumed]: looking at the entry
// would cost a cache line's journey and prove nothing.
func (s *Sender) Send(e *Submission, args []byte) uint32 {
	pos := s.tail.Add(1) - 1
	off := s.r.entry(s.base, pos)
	seq := s.r.word(off)
	m := s.r.mem[off : off+Line : off+Line]
	binary.LittleEndian.PutUint32(m[4:], e.Gen)
	binary.LittleEndian.PutUint64(m[8:], uint64(e.Contract)|uint64(e.Method)<<32|uint64(e.Slot)<<48|uint64(e.Kind)<<56)
	binary.LittleEndian.PutUint64(m[16:], uint64(e.Len)|uint64(e.ParentGen)<<32)
	binary.LittleEndian.PutUint64(m[24:], uint64(e.Parent)|uint64(e.Level)<<8|uint64(e.Timeout)<<32)
	if e.Kind == KindInline {
		copy(m[entryHeader:], args)
	} else {
		binary.LittleEndian.PutUint64(m[entryHeader:], e.Offset)
	}
	StoreRelease(seq, published(pos))
	ahead := s.r.entry(s.base, pos+2)
	PrefetchWrite(&s.r.mem[ahead])
	return pos
}

// Last is the position of the last submission.
func (s *Sender) Last() uint32 { return s.tail.Load() - 1 }

// Consumed tells whether the receiver has taken the submission at pos. The
// answer is the receiver's and may be a lie.
func (s *Sender) Consumed(pos uint32) bool {
	if s.tail.Load() == 0 {
		return true // nothing was ever sent
	}
	v := s.r.word(s.r.entry(s.base, pos)).Load()
	return int32(v-consumed(pos)) >= 0
}

// Word returns the word that changes when the next submission is published,
// and the value that it then has.
func (c *Receiver) Word() (*atomic.Uint32, uint32) {
	return c.r.word(c.r.entry(c.base, c.head)), published(c.head)
}

// Ready tells whether a submission can be taken.
func (c *Receiver) Ready() bool {
	w, v := c.Word()
	return w.Load() == v
}

// Take copies the next submission into e; Consume follows. It returns false
// when there is none. Each byte of shared memory is read once. Lengths and
// offsets in e are the sender's.
func (c *Receiver) Take(e *Submission) bool {
	w, v := c.Word()
	if w.Load() != v {
		return false
	}
	off := c.r.entry(c.base, c.head)
	m := c.r.mem[off : off+Line : off+Line]
	a := binary.LittleEndian.Uint64(m[8:])
	b := binary.LittleEndian.Uint64(m[16:])
	d := binary.LittleEndian.Uint64(m[24:])
	e.Gen = binary.LittleEndian.Uint32(m[4:])
	e.Contract, e.Method, e.Slot, e.Kind = uint32(a), uint16(a>>32), uint8(a>>48), Kind(a>>56)
	e.Len, e.ParentGen = uint32(b), uint32(b>>32)
	e.Parent, e.Level, e.Timeout = uint8(d), uint8(d>>8), uint32(d>>32)
	e.Offset = 0
	if e.Kind == KindInline {
		n := min(e.Len, InlineArgs)
		copy(e.Inline[:n], m[entryHeader:])
	} else {
		e.Offset = binary.LittleEndian.Uint64(m[entryHeader:])
	}
	return true
}

// Consume gives back the entry that was taken. It is a release, not a fence.
func (c *Receiver) Consume() {
	w, _ := c.Word()
	StoreRelease(w, consumed(c.head))
	c.head++
}
