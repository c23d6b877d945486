// Package ring holds the index arithmetic, the memory ordering and all the
// unsafe code of lanes: a region of memory shared by two processes that don't
// trust each other.
//
// # Layout
//
// A region is a header of [HeaderSize] bytes and two arenas of equal size that
// fill the rest. Every offset is a function of the region's size alone: no
// length or offset of the layout is ever read from shared memory.
//
//	    0  wake word of the host           uint32
//	    4  where the host last woke up     uint32: processor + 1, 0 unknown
//	  128  wake word of the enclave        uint32
//	  132  where the enclave last woke up  uint32: processor + 1, 0 unknown
//	  256  acknowledgements host→enclave   uint32 × 64: replies to ECALLs copied out
//	  512  acknowledgements enclave→host   uint32 × 64: replies to OCALLs copied out
//	   768  submissions taken, ECALLs      uint32, alone on its line
//	   896  submissions taken, OCALLs      uint32, alone on its line
//	 4096  submission ring, ECALLs         128 entries × 128 bytes
//	20480  submission ring, OCALLs         128 entries × 128 bytes
//	36864  replies to ECALLs               64 lines × 128 bytes
//	45056  replies to OCALLs               64 lines × 128 bytes
//	65536  arena of the host               (size-65536)/2 bytes
//	  …    arena of the enclave            (size-65536)/2 bytes
//
// All words are little-endian. Zeroed memory is a valid, empty region.
package ring

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"
)

const (
	// Slots is the number of calls in flight in each direction.
	Slots = 64
	// entries is the length of a submission ring. Calls take Slots of them;
	// the rest is for cancellations and released buffers.
	entries = 128
	// Line is what the hardware moves between cores: two cache lines of 64
	// bytes, as adjacent ones are prefetched in pairs.
	Line = 128
	// halfLine is a cache line.
	halfLine = 64

	offWakeHost    = 0
	offWakeEnclave = Line
	offAckEcall    = 256
	offAckOcall    = 512
	offReadEcall   = 768
	offReadOcall   = offReadEcall + Line
	offSubmitEcall = 4096
	offSubmitOcall = offSubmitEcall + entries*Line
	offReplyEcall  = offSubmitOcall + entries*Line
	offReplyOcall  = offReplyEcall + Slots*Line

	// HeaderSize is the number of bytes before the arenas.
	HeaderSize = 65536
	// MinSize is the size of the smallest region.
	MinSize = HeaderSize + 2*65536
	// MaxSize is the size of the largest region: an arena's length fits 31 bits.
	MaxSize = HeaderSize + 2*(1<<31-1)&^8191
)

// Side is an end of a region.
type Side uint32

// The two ends.
const (
	Host    Side = 0
	Enclave Side = 1
)

// Peer returns the other end.
func (s Side) Peer() Side { return s ^ 1 }

// Region is shared memory. All methods check their arguments against its size.
type Region struct {
	mem   []byte
	arena int // bytes of each arena
}

// NewRegion lays a region over mem, which must be aligned to [Line].
func NewRegion(mem []byte) (*Region, error) {
	if len(mem) < MinSize || len(mem) > MaxSize {
		return nil, fmt.Errorf("region of %d bytes: want %d to %d", len(mem), MinSize, MaxSize)
	}
	if uintptr(unsafe.Pointer(&mem[0]))%Line != 0 {
		return nil, errors.New("region is not aligned to 128 bytes")
	}
	if !littleEndian() {
		return nil, errors.New("regions need a little-endian processor")
	}
	return &Region{mem: mem, arena: (len(mem) - HeaderSize) / 2 &^ (Line - 1)}, nil
}

func littleEndian() bool {
	one := uint16(1)
	return *(*byte)(unsafe.Pointer(&one)) == 1
}

// word returns the 32-bit word at off, a constant or bounded by the caller.
func (r *Region) word(off int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&r.mem[off : off+4 : off+4][0]))
}

// submissions lays the ring of caller's calls, and the count of those taken.
func (r *Region) submissions(caller Side) (*[entries]entry, *atomic.Uint32) {
	off, read := offSubmitEcall, offReadEcall
	if caller == Enclave {
		off, read = offSubmitOcall, offReadOcall
	}
	return (*[entries]entry)(unsafe.Pointer(&r.mem[off : off+entries*Line][0])), r.word(read)
}

// replies lays lines and acknowledgements at two constants of the layout.
func (r *Region) replies(lines, acks int) (*[Slots]line, *[Slots]atomic.Uint32) {
	return (*[Slots]line)(unsafe.Pointer(&r.mem[lines : lines+Slots*Line][0])),
		(*[Slots]atomic.Uint32)(unsafe.Pointer(&r.mem[acks : acks+Slots*4][0]))
}

// Wake returns the wake word of a side.
func (r *Region) Wake(s Side) *atomic.Uint32 {
	return r.word(offWakeHost + int(s&1)*(offWakeEnclave-offWakeHost))
}

// CPU returns the word in which a side notes where it runs.
func (r *Region) CPU(s Side) *atomic.Uint32 {
	return r.word(offWakeHost + int(s&1)*(offWakeEnclave-offWakeHost) + 4)
}

// ArenaSize is the number of bytes in each arena.
func (r *Region) ArenaSize() int { return r.arena }

// Arena returns n bytes at off of a side's arena. ok is false when any of them
// would lie outside; all three numbers may come from an attacker.
func (r *Region) Arena(s Side, off uint64, n uint32) (mem []byte, ok bool) {
	if s > Enclave || off > uint64(r.arena) || uint64(n) > uint64(r.arena)-off {
		return nil, false
	}
	start := HeaderSize + int(s)*r.arena + int(off)
	return r.mem[start : start+int(n) : start+int(n)], true
}

// Alloc returns n zero bytes of ordinary memory that a region can be laid over.
func Alloc(n int) []byte {
	b := make([]byte, n+Line)
	skip := int(-uintptr(unsafe.Pointer(&b[0])) % Line)
	return b[skip : skip+n : skip+n]
}
