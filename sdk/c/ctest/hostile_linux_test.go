package ctest

import (
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/internal/rendezvous"
	"github.com/secgear/secgear/sdk/tee"
)

var discard = slog.New(slog.DiscardHandler)

// TestHostileEnclave: the other side of a C program's lane writes anything
// anywhere, answers that are nearly right among it. The program may fail in its
// calls, but not otherwise.
func TestHostileEnclave(t *testing.T) {
	program := build(t, "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
	path := pretend(t, func(r *rendezvous.Request) {
		const size = 4 << 20
		lane, mem, bell, err := newLane(size)
		if err != nil {
			t.Error(err)
			return
		}
		defer lane.Release()
		err = r.AnswerAttached(rendezvous.Attached{Memory: size, About: []byte("{}")}, mem, bell)
		mem.Close()
		bell.Close()
		if err != nil || r.Settle() != nil {
			return
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			io.Copy(io.Discard, lane.Bell)
		}()
		rnd := rand.New(rand.NewPCG(uint64(r.Peer.PID), uint64(time.Now().UnixNano())))
		for {
			select {
			case <-ended:
				lane.Bell.Close()
				return
			default:
				lie(rnd, lane)
			}
		}
	})
	run(t, program, "hostile", path, "20")
}

// newLane makes a lane of which mem and bell are the other end.
func newLane(size int) (lane *tee.Lane, mem, bell *os.File, err error) {
	fd, err := unix.MemfdCreate("lane", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, nil, nil, err
	}
	mem = os.NewFile(uintptr(fd), "lane")
	if err = mem.Truncate(int64(size)); err == nil {
		_, err = unix.FcntlInt(mem.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	b, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, nil, err
	}
	bell = os.NewFile(uintptr(pair[0]), "bell")
	conn := pipe{os.NewFile(uintptr(pair[1]), "bell")}
	return &tee.Lane{Mem: b, Bell: conn, Release: func() { unix.Munmap(b) }}, mem, bell, nil
}

// lie writes something into the lane: sometimes noise, mostly an answer to a call
// of a slot and generation that may be in flight, with numbers from the edge.
func lie(rnd *rand.Rand, lane *tee.Lane) {
	mem := lane.Mem
	put := func(off int, v uint32) {
		mem[off], mem[off+1], mem[off+2], mem[off+3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	}
	edges := []uint32{0, 1, 16, 111, 112, 113, 4096, 4097, 60000, 1<<21 - 32768, 1<<21 - 32767, 1 << 22, 1<<31 - 1, 1 << 31, 1<<32 - 1}
	edge := func() uint32 { return edges[rnd.IntN(len(edges))] }
	switch rnd.IntN(8) {
	case 0: // anything anywhere in the header
		put(4*rnd.IntN(65536/4), rnd.Uint32())
	case 1: // a submission of ours
		entry := 20480 + 128*rnd.IntN(128)
		put(entry+4, edge())
		put(entry+12, uint32(rnd.IntN(1<<16))|uint32(rnd.IntN(70))<<16|uint32(rnd.IntN(6))<<24)
		put(entry, uint32(rnd.IntN(4)))
	case 2: // a frame
		frame := make([]byte, 32)
		frame[0], frame[1] = byte(rnd.IntN(5)), byte(rnd.IntN(70))
		frame[12] = byte(rnd.IntN(3))
		if rnd.IntN(500) == 0 {
			lane.Bell.SetWriteDeadline(time.Now().Add(time.Millisecond))
			lane.Bell.Write(frame)
		}
	default:
		slot := rnd.IntN(4)
		line := 36864 + 128*slot
		put(line+4, edge())
		put(line+8, edge()%3)
		put(line+12, uint32(rnd.IntN(2)))
		put(line+16, edge())
		put(line+20, edge()%2)
		put(line, uint32(1+rnd.IntN(200)))
	}
}
