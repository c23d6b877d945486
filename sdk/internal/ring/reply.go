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

// Replies are the reply lines of one direction of calls, one per slot, and the
// words by which the caller says that it has copied large results out.
type Replies struct {
	r    *Region
	base int
	acks int
}

// Init makes p the replies to calls made by caller.
func (p *Replies) Init(r *Region, caller Side) {
	p.r, p.base, p.acks = r, offReplyEcall, offAckEcall
	if caller == Enclave {
		p.base, p.acks = offReplyOcall, offAckOcall
	}
}

func (p *Replies) line(slot int) []byte {
	off := p.base + slot%Slots*Line
	return p.r.mem[off : off+Line : off+Line]
}

// Word returns the word that becomes the call's generation when it is answered.
func (p *Replies) Word(slot int) *atomic.Uint32 {
	return p.r.word(p.base + slot%Slots*Line)
}

// Prepare fetches the line of a slot for writing.
func (p *Replies) Prepare(slot int) { PrefetchWrite(&p.line(slot)[0]) }

// Fill writes the answer of a slot, results inline unless a.Arena, for Publish
// to follow.
func (p *Replies) Fill(slot int, a Reply, results []byte) {
	m := p.line(slot)
	binary.LittleEndian.PutUint32(m[4:], a.Len)
	if a.Arena {
		binary.LittleEndian.PutUint64(m[8:], uint64(a.Status)|1<<32)
		binary.LittleEndian.PutUint64(m[replyHeader:], a.Offset)
		return
	}
	binary.LittleEndian.PutUint64(m[8:], uint64(a.Status))
	copy(m[replyHeader:], results)
}

// Publish makes the filled answer of a slot that of the call of generation gen.
// Like Send it is a release, not a fence.
func (p *Replies) Publish(slot int, gen uint32) { StoreRelease(p.Word(slot), gen) }

// Read copies the reply in slot, whose word was seen to be published, and its
// inline results into results, of which it returns the part filled. Each byte
// of shared memory is read once. Lengths and offsets in the reply are the
// other side's.
func (p *Replies) Read(slot int, results *[InlineResults]byte) (Reply, []byte) {
	m := p.line(slot)
	b := binary.LittleEndian.Uint64(m[8:])
	a := Reply{Len: binary.LittleEndian.Uint32(m[4:]), Status: uint32(b), Arena: b>>32 != 0}
	if a.Arena {
		a.Offset = binary.LittleEndian.Uint64(m[replyHeader:])
		return a, nil
	}
	n := min(a.Len, InlineResults)
	copy(results[:n], m[replyHeader:])
	return a, results[:n]
}

// Ack returns the word in which the caller puts the generation of the last
// large reply that it has copied out of the answering side's arena.
func (p *Replies) Ack(slot int) *atomic.Uint32 {
	return p.r.word(p.acks + slot%Slots*4)
}
