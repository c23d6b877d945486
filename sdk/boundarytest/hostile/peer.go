package hostile

import (
	"encoding/binary"
	"fmt"
	"net"

	"github.com/secgear/secgear/sdk/internal/ring"
	"github.com/secgear/secgear/sdk/tee"
)

// The layout of a region, as drawn in package ring. It is written down a second
// time here: an attacker does not ask the victim's code where to write.
const (
	// Entries is the length of a submission ring.
	Entries = 128

	entryHeader = 32
	replyHeader = 16

	offAck    = 256  // 64 words for each direction
	offRead   = 768  // a count for each direction, on lines of their own
	offSubmit = 4096 // a ring for each direction
	offReply  = 36864
	offArena  = 65536
)

// Values of a wake word.
const (
	Awake  = 0
	Parked = 1
	Woken  = 2
)

// Peer is an attacker's end of a lane. Its methods may be used from several
// goroutines where the attacks want that: nothing is synchronised but the
// stream's frames.
type Peer struct {
	Mem   []byte
	Bell  net.Conn
	Side  ring.Side // the attacker's; the victim has the other one
	Futex bool      // as in [tee.Lane]

	region *ring.Region
	in     ring.Receiver
	next   uint32 // position of the next submission
}

// NewPeer takes the attacker's end l of a lane.
func NewPeer(l *tee.Lane, side ring.Side) (*Peer, error) {
	r, err := ring.NewRegion(l.Mem)
	if err != nil {
		return nil, fmt.Errorf("a hostile peer: %w", err)
	}
	p := &Peer{Mem: l.Mem, Bell: l.Bell, Side: side, Futex: l.Futex, region: r}
	p.in.Init(r, side.Peer())
	return p, nil
}

func (p *Peer) at(off, n int) []byte { return p.Mem[off : off+n : off+n] }

// Entry is the entry for position pos of the attacker's submissions.
func (p *Peer) Entry(pos uint32) []byte {
	return p.at(offSubmit+int(p.Side)*Entries*ring.Line+int(pos%Entries)*ring.Line, ring.Line)
}

// Sequence is the sequence word of the attacker's submission at pos.
func (p *Peer) Sequence(pos uint32) uint32 { return binary.LittleEndian.Uint32(p.Entry(pos)) }

// Read is the victim's count of the attacker's submissions that it has taken.
func (p *Peer) Read() []byte { return p.at(offRead+int(p.Side)*ring.Line, 4) }

// ReplyLine is where the attacker answers the victim's call in a slot.
func (p *Peer) ReplyLine(slot int) []byte {
	return p.at(offReply+int(p.Side.Peer())*ring.Slots*ring.Line+slot%ring.Slots*ring.Line, ring.Line)
}

// Answer is where the victim answers the attacker's call in a slot.
func (p *Peer) Answer(slot int) []byte {
	return p.at(offReply+int(p.Side)*ring.Slots*ring.Line+slot%ring.Slots*ring.Line, ring.Line)
}

// Ack is the word that says which of the victim's large answers in a slot the
// attacker has copied out.
func (p *Peer) Ack(slot int) []byte {
	return p.at(offAck+int(p.Side)*ring.Slots*4+slot%ring.Slots*4, 4)
}

// Wake is the wake word of a side.
func (p *Peer) Wake(side ring.Side) []byte { return p.at(int(side)*ring.Line, 4) }

// Arena is the arena of a side.
func (p *Peer) Arena(side ring.Side) []byte {
	size := p.region.ArenaSize()
	return p.at(offArena+int(side)*size, size)
}

// Published is the sequence word of an honest submission at pos.
func Published(pos uint32) uint32 { return pos/Entries + 1 }

// Put writes s and inline arguments to the entry of pos and then seq to its
// sequence word. Nothing about s is checked, nor is Kick done.
func (p *Peer) Put(pos, seq uint32, s ring.Submission, args []byte) {
	m := p.Entry(pos)
	binary.LittleEndian.PutUint32(m[4:], s.Gen)
	binary.LittleEndian.PutUint32(m[8:], s.Contract)
	binary.LittleEndian.PutUint16(m[12:], s.Method)
	m[14], m[15] = s.Slot, byte(s.Kind)
	binary.LittleEndian.PutUint32(m[16:], s.Len)
	binary.LittleEndian.PutUint32(m[20:], s.ParentGen)
	m[24], m[25] = s.Parent, s.Level
	binary.LittleEndian.PutUint32(m[28:], s.Timeout)
	if s.Kind == ring.KindInline {
		copy(m[entryHeader:], args)
	} else {
		binary.LittleEndian.PutUint64(m[entryHeader:], s.Offset)
	}
	ring.Fence()
	binary.LittleEndian.PutUint32(m, seq)
	ring.Fence()
}

// Free tells whether the victim has taken the submission that Submit would
// overwrite.
func (p *Peer) Free() bool {
	return p.next < Entries || p.Taken(p.next-Entries)
}

// Taken tells whether the victim has taken the attacker's submission at pos.
func (p *Peer) Taken(pos uint32) bool { return int32(binary.LittleEndian.Uint32(p.Read())-pos) > 0 }

// Submit publishes s at the next position of the ring, as an honest peer would.
func (p *Peer) Submit(s ring.Submission, args []byte) {
	pos := p.next
	p.next++
	p.Put(pos, Published(pos), s, args)
}

// Next is the position that Submit takes next.
func (p *Peer) Next() uint32 { return p.next }

// Kick wakes the victim if it sleeps.
func (p *Peer) Kick() error {
	w := p.region.Wake(p.Side.Peer())
	if w.Swap(Woken) != Parked {
		return nil
	}
	if p.Futex {
		ring.FutexWake(w, 1)
		return nil
	}
	return p.Send(Frame{Kind: FrameWake}, nil)
}

// Take takes the victim's next submission, if there is one.
func (p *Peer) Take(s *ring.Submission) bool {
	if !p.in.Take(s) {
		return false
	}
	p.in.Consume()
	return true
}

// Reply writes a reply line, and then gen to the word that publishes it.
func (p *Peer) Reply(slot int, gen uint32, a ring.Reply, results []byte) {
	m := p.ReplyLine(slot)
	binary.LittleEndian.PutUint32(m[4:], a.Len)
	binary.LittleEndian.PutUint32(m[8:], a.Status)
	arena := uint32(0)
	if a.Arena {
		arena = 1
		binary.LittleEndian.PutUint64(m[replyHeader:], a.Offset)
	} else {
		copy(m[replyHeader:], results)
	}
	binary.LittleEndian.PutUint32(m[12:], arena)
	ring.Fence()
	binary.LittleEndian.PutUint32(m, gen)
	ring.Fence()
}

// Answered tells whether the victim has answered the call gen in slot.
func (p *Peer) Answered(slot int, gen uint32) bool {
	return binary.LittleEndian.Uint32(p.Answer(slot)) == gen
}

// Status is the status in the victim's answer in slot.
func (p *Peer) Status(slot int) uint32 {
	ring.Fence()
	return binary.LittleEndian.Uint32(p.Answer(slot)[8:])
}
