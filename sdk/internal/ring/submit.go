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
	KindStream Kind = 5 // about the stream Gen: what is in Method, a range at Offset
)

// InlineArgs is the number of argument bytes that fit an entry.
const InlineArgs = Line - entryHeader

// FlagTrace: before the arguments, and counted with them, stands a trace context
// (package tracecontext).
const FlagTrace = 1

// NoParent is the parent of a call that is not made inside another.
const NoParent = 0xff

// Submission is one entry of a submission ring, in private memory.
//
//	 0 sequence uint32  lap+1: set last, it publishes the entry
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
//	26 flags    uint8   what the arguments begin with; see FlagTrace
//	27 –        zero
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
	Flags         uint8
	Timeout       uint32
	Offset        uint64 // KindArena, KindFree, KindStream
	Inline        [InlineArgs]byte
}

const entryHeader = 32

// entry is a Submission in shared memory. Fields that the receiver reads are
// read once, into locals.
type entry struct {
	seq  atomic.Uint32
	gen  uint32
	call uint64 // contract | method<<32 | slot<<48 | kind<<56
	size uint64 // len | pgen<<32
	nest uint64 // parent | level<<8 | flags<<16 | timeout<<32
	args [InlineArgs]byte
}

// Sender is the producing end of a submission ring. Send is safe for
// concurrent use.
type Sender struct {
	ring *[entries]entry
	read *atomic.Uint32 // the receiver's count of what it has taken
	tail atomic.Uint32  // next position; private, never read back from the region
	_    [Line]byte
}

// Receiver is the consuming end of a submission ring. Its methods must not run
// concurrently.
type Receiver struct {
	ring *[entries]entry
	read *atomic.Uint32
	head uint32 // next position; private
	next *entry // at head
	want uint32 // its sequence word once published
}

// Init makes s the ring of calls made by caller.
func (s *Sender) Init(r *Region, caller Side) { s.ring, s.read = r.submissions(caller) }

// Init makes c the ring of calls made by caller.
func (c *Receiver) Init(r *Region, caller Side) {
	c.ring, c.read = r.submissions(caller)
	c.aim()
}

func (c *Receiver) aim() { c.next, c.want = &c.ring[c.head%entries], published(c.head) }

// published is the sequence word of a position.
func published(pos uint32) uint32 { return pos/entries + 1 }

// Send publishes a submission with inline arguments args (at most
// [InlineArgs]) and returns its position. The store is a release but no fence:
// a caller that then looks whether the receiver sleeps needs [Fence] in
// between. The entry must be free, which the caller knows from its own count
// of what has not been answered or [Sender.Consumed]: looking at the entry
// would cost a cache line's journey and prove nothing.
func (s *Sender) Send(e *Submission, args []byte) uint32 {
	pos := s.tail.Add(1) - 1
	m := &s.ring[pos%entries]
	if len(args) > halfLine-entryHeader {
		// The second cache line first: the receiver looks at the first one all
		// the time, and would take it away between two stores to it.
		copy(m.args[halfLine-entryHeader:], args[halfLine-entryHeader:])
		args = args[:halfLine-entryHeader]
	}
	m.gen = e.Gen
	m.call = uint64(e.Contract) | uint64(e.Method)<<32 | uint64(e.Slot)<<48 | uint64(e.Kind)<<56
	m.size = uint64(e.Len) | uint64(e.ParentGen)<<32
	m.nest = uint64(e.Parent) | uint64(e.Level)<<8 | uint64(e.Flags)<<16 | uint64(e.Timeout)<<32
	if e.Kind == KindInline {
		copy(m.args[:], args)
	} else {
		binary.LittleEndian.PutUint64(m.args[:], e.Offset)
	}
	StoreRelease(&m.seq, published(pos))
	return pos
}

// Last is the position of the last submission.
func (s *Sender) Last() uint32 { return s.tail.Load() - 1 }

// Consumed tells whether the receiver has taken the submission at pos. The
// answer is the receiver's and may be a lie.
func (s *Sender) Consumed(pos uint32) bool {
	return int32(s.read.Load()-pos) > 0
}

// Taken is how many submissions the receiver says that it has taken.
func (s *Sender) Taken() uint32 { return s.read.Load() }

// Word returns the word that changes when the next submission is published,
// and the value that it then has.
func (c *Receiver) Word() (*atomic.Uint32, uint32) { return &c.next.seq, c.want }

// Ready tells whether a submission can be taken.
func (c *Receiver) Ready() bool { return c.next.seq.Load() == c.want }

// Head is the fixed part of a submission, in private memory.
type Head struct {
	gen              uint32
	call, size, nest uint64
}

// Slot is where the reply goes: the sender's word.
func (h Head) Slot() uint8 { return uint8(h.call >> 48) }

// Kind is what is asked for: the sender's word.
func (h Head) Kind() Kind { return Kind(h.call >> 56) }

// Gen is the slot's generation: the sender's word.
func (h Head) Gen() uint32 { return h.gen }

// Peek reads the fixed part of the next submission, which is Ready. It must not
// be read again before Consume: the sender may have changed it.
func (c *Receiver) Peek() Head {
	m := c.next
	return Head{gen: m.gen, call: m.call, size: m.size, nest: m.nest}
}

// Copy copies the submission of which h was read into e.
func (c *Receiver) Copy(h Head, e *Submission) {
	e.Gen = h.gen
	e.Contract, e.Method, e.Slot, e.Kind = uint32(h.call), uint16(h.call>>32), h.Slot(), h.Kind()
	e.Len, e.ParentGen = uint32(h.size), uint32(h.size>>32)
	e.Parent, e.Level, e.Flags, e.Timeout = uint8(h.nest), uint8(h.nest>>8), uint8(h.nest>>16), uint32(h.nest>>32)
	if e.Kind == KindInline {
		e.Offset = 0
		copy(e.Inline[:], c.next.args[:min(e.Len, InlineArgs)])
	} else {
		e.Offset = c.Offset()
	}
}

// Message is a submission that is no call, in private memory.
type Message struct {
	Gen, Len uint32
	Method   uint16
	Slot     uint8
	Offset   uint64
}

// Message reads the next submission, of which h was read, as one that is no
// call. Like Copy, it is called once.
func (c *Receiver) Message(h Head) Message {
	return Message{Gen: h.gen, Len: uint32(h.size), Method: uint16(h.call >> 32), Slot: h.Slot(), Offset: c.Offset()}
}

// Offset reads the offset of the next submission. Like Copy, it is called once.
func (c *Receiver) Offset() uint64 { return binary.LittleEndian.Uint64(c.next.args[:]) }

// Take copies the next submission into e; Consume follows. It returns false
// when there is none. Lengths and offsets in e are the sender's.
func (c *Receiver) Take(e *Submission) bool {
	if !c.Ready() {
		return false
	}
	c.Copy(c.Peek(), e)
	return true
}

// Consume gives back the entry that was taken. The count that says so lies on a
// line of its own, which the sender reads only when it grows impatient: a store
// to the entry would hold up the reply by a cache line's journey.
func (c *Receiver) Consume() {
	c.head++
	c.aim()
	StoreRelease(c.read, c.head)
}
