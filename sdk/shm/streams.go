package shm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/ring"
)

// What a submission of kind KindStream says; it stands where a call has its
// method. The stream is named by the number that the side that dialled chose,
// and by which side that is.
//
//	open    the range holds the name that is dialled
//	accept  answers open: somebody listens
//	refuse  answers open: len says why
//	data    the range holds bytes; it is given back once they were read
//	end     the sender writes no more
//	close   the sender's last message: it neither reads nor writes any more.
//	        The receiver answers in kind, unless it has sent one.
const (
	streamOpen = 1 + iota
	streamAccept
	streamRefuse
	streamData
	streamEnd
	streamClose
)

// Why a stream is refused.
const (
	refusedUnknown = 1 + iota // nobody listens by this name
	refusedBacklog            // too many wait to be accepted
	refusedMany               // too many are open
	refusedName               // no name
)

const (
	maxStreams = 4096
	// maxPiece is the most that is handed over at once, and maxPieces in how
	// many pieces what is in flight can lie: which bounds what a receiver keeps.
	maxPiece  = 64 << 10
	maxPieces = 64
	// window is how many bytes of a stream are in flight at most.
	window = 256 << 10
	// leastShare is what every stream can have in flight, whatever others do.
	leastShare = 1 << 10
)

// streams are those of one lane. Half the arena is theirs: of it one half for
// whoever needs it, the other divided among as many streams as there may be, so
// that each goes on when all others are stuck.
type streams struct {
	lane    *Lane
	waiting atomic.Int32 // goroutines that wait and don't poll

	most  int // streams at a time
	pool  int // bytes that streams share
	share int // bytes that each has to itself

	mu   sync.Mutex // taken before a Stream's
	open map[streamKey]*Stream
	next uint32
	used int    // bytes in flight
	seen uint64 // streams since the beginning
	read atomic.Uint64
	sent uint64    // bytes
	line []*Stream // those that wait for room, oldest first
}

// streamKey names a stream: the number and who chose it.
type streamKey struct {
	id   uint32
	mine bool
}

func (t *streams) init(l *Lane) {
	arena := l.region.ArenaSize()
	t.lane = l
	t.most = min(maxStreams, arena/4/leastShare)
	t.pool = arena / 4
	t.share = t.pool / t.most
	t.open = make(map[streamKey]*Stream)
}

// DialStream opens a stream to whoever listens by name on the other side: lower
// case letters and digits in groups joined by single '-', '_' or '.'. It waits
// for the answer, bounded by ctx. Its error matches [ErrRefused] when nobody
// listens or too many are waiting, and [errors.ErrUnsupported] on a lane
// without shared memory.
func (l *Lane) DialStream(ctx context.Context, name string) (*Stream, error) {
	s, err := l.dialStream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("dialling stream %.80q: %w", name, err)
	}
	return s, nil
}

func (l *Lane) dialStream(ctx context.Context, name string) (*Stream, error) {
	if l.region == nil {
		return nil, fmt.Errorf("this lane has no shared memory: %w", errors.ErrUnsupported)
	}
	if err := image.CheckName(name); err != nil {
		return nil, err
	}
	if l.closed.Load() {
		return nil, l.err
	}
	s, err := l.streams.begin(name)
	if err != nil {
		return nil, err
	}
	off, err := l.allocate(ctx, len(name))
	if err != nil {
		l.streams.forget(s)
		return nil, err
	}
	mem, _ := l.region.Arena(l.side, off, uint32(len(name)))
	copy(mem, name)
	l.exports.add(off, export{off: off})
	l.aux.send(l, s.key.message(streamOpen, off, uint32(len(name))))
	if err := s.dialled(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// message is a submission about a stream.
func (k streamKey) message(op uint16, off uint64, n uint32) ring.Submission {
	s := ring.Submission{Kind: ring.KindStream, Method: op, Gen: k.id, Offset: off, Len: n}
	if !k.mine {
		s.Slot = 1
	}
	return s
}

// say sends a message without a range.
func (t *streams) say(k streamKey, op uint16) { t.lane.aux.send(t.lane, k.message(op, 0, 0)) }

// begin adds a stream that this side dials.
func (t *streams) begin(name string) (*Stream, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.open) >= t.most {
		return nil, fmt.Errorf("%w: %d are open, as many as the lane holds", ErrRefused, len(t.open))
	}
	key := streamKey{mine: true}
	for {
		t.next++
		key.id = t.next
		if t.open[key] == nil {
			break
		}
	}
	s := newStream(t.lane, key, name)
	t.open[key] = s
	t.seen++
	return s, nil
}

func (t *streams) forget(s *Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[s.key] == s {
		delete(t.open, s.key)
	}
}

func (t *streams) find(k streamKey) *Stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open[k]
}

// room allocates space for at most want bytes of s. n is 0 when s has to wait:
// for the arena if it is full, and else until it is told to try again.
func (t *streams) room(s *Stream, want int) (off uint64, n int, full bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	n = min(want, maxPiece, window-s.inFlight)
	if n <= 0 || s.pieces == maxPieces {
		return 0, 0, false // until some of its own come back
	}
	if left := t.pool - t.used; left < min(n, t.share) {
		if s.inFlight > 0 {
			t.wait(s)
			return 0, 0, false
		}
		n = min(n, t.share)
	} else {
		n = min(n, left)
	}
	off, ok := t.lane.arena.Alloc(n)
	if !ok {
		return 0, 0, true
	}
	s.inFlight += n
	s.pieces++
	t.used += n
	t.sent += uint64(n)
	t.leave(s)
	if t.pool-t.used >= t.share {
		t.callNext() // there may be room for more than one
	}
	return off, n, false
}

// wait puts s in the line of those that wait for room.
func (t *streams) wait(s *Stream) {
	if !s.queued {
		s.queued = true
		t.line = append(t.line, s)
	}
}

// leave takes s out of the line. It returns whether s was in it.
func (t *streams) leave(s *Stream) bool {
	if !s.queued {
		return false
	}
	s.queued = false
	t.line = slices.DeleteFunc(t.line, func(have *Stream) bool { return have == s })
	return true
}

// callNext lets the first in line try again.
func (t *streams) callNext() {
	if len(t.line) > 0 {
		s := t.line[0]
		t.leave(s)
		notify(s.writable)
	}
}

// leaveLine is called by a writer that gives up: if it had been called, the next
// one is.
func (t *streams) leaveLine(s *Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.leave(s) {
		t.callNext()
	}
}

// hand gives n bytes at off, which room allocated for s, to the other side.
func (t *streams) hand(s *Stream, off uint64, n int) {
	t.lane.exports.add(off, export{off: off, stream: s, n: n})
	t.lane.aux.send(t.lane, s.key.message(streamData, off, uint32(n)))
}

// cameBack notes that the other side has read n bytes of s.
func (t *streams) cameBack(s *Stream, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.mu.Lock()
	s.inFlight -= n
	s.pieces--
	s.mu.Unlock()
	t.used -= n
	notify(s.writable)
	t.callNext()
}

// count adds what there is to say of streams to s.
func (t *streams) count(s *Stats) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Streams, s.StreamsOpened = len(t.open), t.seen
	s.StreamReadBytes, s.StreamWrittenBytes = t.read.Load(), t.sent
}

// giveBack returns a range of the other side's arena.
func (t *streams) giveBack(c chunk) {
	t.lane.aux.send(t.lane, ring.Submission{Kind: ring.KindFree, Offset: c.off})
}

// receive takes what the other side says about a stream, and returns whether
// somebody waited for it. The holder of poll calls it: it never blocks.
func (t *streams) receive(m ring.Message) (woke bool) {
	key := streamKey{id: m.Gen, mine: m.Slot != 0}
	c := chunk{m.Offset, m.Len}
	if m.Method == streamOpen {
		t.opened(key, c)
		return true
	}
	s := t.find(key)
	if s == nil {
		if m.Method == streamData {
			t.giveBack(c) // it was on its way when we closed
		}
		return false
	}
	switch m.Method {
	case streamAccept:
		return s.answers(nil)
	case streamRefuse:
		if !s.answers(refusal(m.Len)) {
			return false
		}
		t.forget(s)
		return true
	case streamData:
		return t.arrived(s, c)
	case streamEnd:
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
		return notify(s.readable)
	case streamClose:
		t.closed(s)
		return true
	}
	return false
}

// refusal is the error for why the other side refused.
func refusal(why uint32) error {
	text, ok := map[uint32]string{
		refusedUnknown: "nobody listens",
		refusedBacklog: "too many wait to be accepted",
		refusedMany:    "too many are open",
		refusedName:    "not a name",
	}[why]
	if !ok {
		text = "no reason given"
	}
	return fmt.Errorf("%w: %s", ErrRefused, text)
}

// opened answers the dialling of a stream whose name lies in c.
func (t *streams) opened(key streamKey, c chunk) {
	if key.mine {
		return
	}
	why := uint32(0)
	name, ok := t.name(c)
	if ok {
		why = t.admit(key, name)
	} else {
		why = refusedName
	}
	switch why {
	case 0:
		t.say(key, streamAccept)
	case refusedTwice:
	default:
		t.lane.aux.send(t.lane, key.message(streamRefuse, 0, why))
	}
}

// name copies the name in c to private memory and gives c back.
func (t *streams) name(c chunk) (string, bool) {
	mem, ok := t.lane.region.Arena(t.lane.side.Peer(), c.off, c.n)
	if !ok {
		return "", false
	}
	name := string(mem[:min(len(mem), image.MaxName+1)])
	t.giveBack(c)
	return name, image.CheckName(name) == nil
}

// refusedTwice: the number is in use, and there is nobody to tell.
const refusedTwice = ^uint32(0)

// admit adds a stream that the other side has dialled and hands it to whoever
// listens; 0 if so.
func (t *streams) admit(key streamKey, name string) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.open[key] != nil:
		return refusedTwice
	case len(t.open) >= t.most:
		return refusedMany
	}
	s := newStream(t.lane, key, name)
	t.open[key] = s
	if why := t.lane.cfg.Listeners.offer(s); why != 0 {
		delete(t.open, key)
		return why
	}
	t.seen++
	return 0
}

// arrived queues bytes for s's reader.
func (t *streams) arrived(s *Stream, c chunk) bool {
	_, ok := t.lane.region.Arena(t.lane.side.Peer(), c.off, c.n)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !ok || c.n == 0:
		return false // not a range: there is nothing to give back either
	case s.closed || s.ended || s.gone || len(s.inbox) >= maxPieces:
		t.giveBack(c)
		return false
	}
	s.inbox = append(s.inbox, c)
	return notify(s.readable)
}

// closed notes the other side's last message about s.
func (t *streams) closed(s *Stream) {
	s.mu.Lock()
	s.gone, s.ended = true, true
	if !s.closed {
		t.say(s.key, streamClose)
	}
	s.mu.Unlock()
	notify(s.readable)
	notify(s.writable)
	t.forget(s)
}
