package ring

import (
	"encoding/binary"
	"sync/atomic"
)

// InlineResults is the number of result bytes that fit a reply line.
const InlineResults = Line - replyHeader

const replyHeader = 16

// Reply is the answer to a call, in private memory.
//
//	 0 gen    uint32  the call's generation: set last, it publishes the line
//	 4 len    uint32  bytes of results
//	 8 status uint32  0 success
//	12 arena  uint32  1 when the results lie in the answering side's arena
//	16 results [112]byte, or the offset in the arena as uint64
type Reply struct {
	Len    uint32
	Status uint32
	Arena  bool
	Offset uint64 // Arena
}

// line is a Reply in shared memory.
type line struct {
	gen     atomic.Uint32
	len     uint32
	status  uint64 // status | arena<<32
	results [InlineResults]byte
}

// Replies are the reply lines of one direction of calls, one per slot, and the
// words by which the caller says that it has copied large results out.
type Replies struct {
	lines *[Slots]line
	acks  *[Slots]atomic.Uint32
}

// Init makes p the replies to calls made by caller.
func (p *Replies) Init(r *Region, caller Side) {
	if caller == Host {
		p.lines, p.acks = r.replies(offReplyEcall, offAckEcall)
	} else {
		p.lines, p.acks = r.replies(offReplyOcall, offAckOcall)
	}
}

// Word returns the word that becomes the call's generation when it is answered.
func (p *Replies) Word(slot int) *atomic.Uint32 { return &p.lines[uint(slot)%Slots].gen }

// Fill writes the answer of a slot, results inline unless a.Arena, for Publish
// to follow.
func (p *Replies) Fill(slot int, a Reply, results []byte) {
	m := &p.lines[uint(slot)%Slots]
	if !a.Arena && len(results) > halfLine-replyHeader { // see Send
		copy(m.results[halfLine-replyHeader:], results[halfLine-replyHeader:])
		results = results[:halfLine-replyHeader]
	}
	m.len = a.Len
	if a.Arena {
		m.status = uint64(a.Status) | 1<<32
		binary.LittleEndian.PutUint64(m.results[:], a.Offset)
		return
	}
	m.status = uint64(a.Status)
	copy(m.results[:], results)
}

// Publish makes the filled answer of a slot that of the call of generation gen.
// Like Send it is a release, not a fence.
func (p *Replies) Publish(slot int, gen uint32) { StoreRelease(p.Word(slot), gen) }

// Read copies the reply in slot, whose word was seen to be published, and its
// inline results into results, of which it returns the part filled. Each byte
// of shared memory is read once. Lengths and offsets in the reply are the
// other side's.
func (p *Replies) Read(slot int, results *[InlineResults]byte) (Reply, []byte) {
	m := &p.lines[uint(slot)%Slots]
	status := m.status
	a := Reply{Len: m.len, Status: uint32(status), Arena: status>>32 != 0}
	if a.Arena {
		a.Offset = binary.LittleEndian.Uint64(m.results[:])
		return a, nil
	}
	n := min(a.Len, InlineResults)
	copy(results[:], m.results[:n])
	return a, results[:n]
}

// Ack returns the word in which the caller puts the generation of the last
// large reply that it has copied out of the answering side's arena.
func (p *Replies) Ack(slot int) *atomic.Uint32 { return &p.acks[uint(slot)%Slots] }
