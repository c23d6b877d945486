package vm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/internal/mux"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/vm/internal/wire"
)

// memories are a machine's shared memories. Each has one lane at a time, and is
// empty and mapped by nobody before it gets the next.
type memories struct {
	size  uint64
	freed chan struct{} // capacity 1: one may be free

	mu    sync.Mutex
	files []*os.File
	users []int // 0: free; else who has yet to let go
}

// Who uses a memory.
const (
	userHost  = 1
	userGuest = 2
)

// newMemories returns the memories in files, of which it makes its own copies.
func newMemories(files []*os.File, size uint64) (*memories, error) {
	m := &memories{size: size, freed: make(chan struct{}, 1), users: make([]int, len(files))}
	for _, f := range files {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			m.close()
			return nil, fmt.Errorf("sharing a lane's memory: %w", err)
		}
		m.files = append(m.files, os.NewFile(uintptr(fd), f.Name()))
	}
	return m, nil
}

// errNoMemory: all memories are in use.
var errNoMemory = errors.New("all of the machine's shared memories are in use")

// take returns a free memory for both sides, emptied.
func (m *memories) take() (number int, f *os.File, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, f := range m.files {
		if m.users[i] != 0 {
			continue
		}
		if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, int64(m.size)); err != nil {
			return 0, nil, fmt.Errorf("emptying a lane's memory: %w", err)
		}
		m.users[i] = userHost | userGuest
		return i, f, nil
	}
	if m.files == nil {
		return 0, nil, tee.ErrLost
	}
	return 0, nil, errNoMemory
}

// release notes that who has let go of a memory.
func (m *memories) release(number, who int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users[number] &^= who
	select {
	case m.freed <- struct{}{}:
	default:
	}
}

// guestFreed notes that the guest says so.
func (m *memories) guestFreed(number uint32) error {
	if uint64(number) >= uint64(len(m.users)) {
		return fmt.Errorf("%w: there is no memory %d", wire.ErrFormat, number)
	}
	m.release(int(number), userGuest)
	return nil
}

// close ends all use.
func (m *memories) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.files {
		f.Close()
	}
	m.files = nil
}

// patience is how long a lane may wait for a memory to become free.
const patience = 3 * time.Second

// await is take, and waits for a while if none is free: what refers to those of
// lanes that ended, only the garbage collectors of both sides know.
func (i *instance) await(ctx context.Context) (number int, f *os.File, err error) {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for first := true; ; first = false {
		number, f, err = i.memories.take()
		if !errors.Is(err, errNoMemory) {
			return number, f, err
		}
		if first {
			if err := i.send(ctx, wire.KindCollect, nil); err != nil {
				return 0, nil, err
			}
			runtime.GC()
		}
		select {
		case <-i.memories.freed:
		case <-deadline.C:
			return 0, nil, err
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		case <-i.proc.Done():
			return 0, nil, tee.ErrLost
		}
	}
}

// checkSize refuses a size that no lane can have.
func (i *instance) checkSize(size int) error {
	if size <= 0 || size%os.Getpagesize() != 0 || uint64(size) > i.laneMemory {
		return fmt.Errorf("opening a lane: %d bytes are not a number of pages up to the manifest's lane_memory, %d", size, i.laneMemory)
	}
	return nil
}

// OpenLane implements [tee.Instance]. size is a multiple of the page size. The
// lane is its caller's: Close leaves it alone, apart from the end of its bell.
func (i *instance) OpenLane(ctx context.Context, size int) (*tee.Lane, error) {
	if err := i.checkSize(size); err != nil {
		return nil, err
	}
	lane, err := i.openLane(ctx, size)
	if err != nil {
		return nil, fmt.Errorf("opening a lane: %w", err)
	}
	return lane, nil
}

func (i *instance) openLane(ctx context.Context, size int) (*tee.Lane, error) {
	number, f, err := i.await(ctx)
	if err != nil {
		return nil, err
	}
	mem, release, err := i.mapMemory(number, f, size)
	if err != nil {
		return nil, err
	}
	bell, err := i.offer(ctx, number, size)
	if err != nil {
		release()
		return nil, err
	}
	return &tee.Lane{Mem: mem, Bell: bell, Release: release}, nil
}

// mapMemory maps a memory that was taken, until release.
func (i *instance) mapMemory(number int, f *os.File, size int) (mem []byte, release func(), err error) {
	mem, err = unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		i.memories.release(number, userHost|userGuest)
		return nil, nil, fmt.Errorf("mapping its memory: %w", err)
	}
	return mem, sync.OnceFunc(func() {
		if err := unix.Munmap(mem); err != nil {
			i.log.Error("unmapping a lane", "err", err)
			return
		}
		i.memories.release(number, userHost)
	}), nil
}

// OpenLaneFiles implements [tee.LaneFiles]. size is a multiple of the page size.
//
// Nobody can know when the other process has the memory mapped no more: it never
// gets another lane. A machine has some more memories than lanes; when they are
// used up, the enclave has to be loaded again.
func (i *instance) OpenLaneFiles(ctx context.Context, size int) (mem, bell *os.File, err error) {
	if err := i.checkSize(size); err != nil {
		return nil, nil, err
	}
	number, f, err := i.await(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("opening a lane: %w", err)
	}
	if mem, bell, err = i.handOut(ctx, number, f, size); err != nil {
		return nil, nil, fmt.Errorf("opening a lane: %w", err)
	}
	return mem, bell, nil
}

// handOut opens a lane in a memory that was taken, and has a bridge between the
// guest and the bell that it returns.
func (i *instance) handOut(ctx context.Context, number int, f *os.File, size int) (mem, bell *os.File, err error) {
	words, release, err := i.mapMemory(number, f, size)
	if err != nil {
		return nil, nil, err
	}
	ours, theirs, conn, err := handles(f)
	if err != nil {
		i.memories.release(number, userGuest)
		release()
		return nil, nil, err
	}
	stream, err := i.offer(ctx, number, size)
	if err != nil {
		ours.Close()
		theirs.Close()
		conn.Close()
		release()
		return nil, nil, err
	}
	go func() {
		// The memory stays taken: release is not called, but what it does to the
		// mapping.
		if err := errors.Join(shm.Bridge(words, conn, stream), unix.Munmap(words)); err != nil {
			i.log.Error("a bridge to a lane", "err", err)
		}
	}()
	return ours, theirs, nil
}

// handles returns another descriptor of a memory, one end of a bell and the other.
func handles(f *os.File) (mem, theirs *os.File, conn net.Conn, err error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("sharing its memory: %w", err)
	}
	mem = os.NewFile(uintptr(fd), f.Name())
	ours, theirs, err := socketPair()
	if err != nil {
		mem.Close()
		return nil, nil, nil, err
	}
	defer ours.Close()
	if conn, err = net.FileConn(ours); err != nil {
		mem.Close()
		theirs.Close()
		return nil, nil, nil, err
	}
	return mem, theirs, conn, nil
}

// offer offers the guest a lane and waits until it has taken it. If it fails, the
// guest has let go of the memory, or will say so.
func (i *instance) offer(ctx context.Context, memory, size int) (*mux.Stream, error) {
	answer := make(chan error, 1)
	i.mu.Lock()
	number := i.nextStream
	i.nextStream++
	i.lanes[number] = answer
	i.mu.Unlock()
	bell, err := i.mux.Open(number)
	if err != nil {
		i.forget(number)
		i.memories.release(memory, userGuest)
		return nil, err
	}
	err = i.send(ctx, wire.KindLane, wire.Lane{Stream: number, Memory: uint32(memory), Size: uint64(size)}.Encode())
	if err == nil {
		select {
		case err = <-answer:
			if err != nil {
				i.memories.release(memory, userGuest) // it has not mapped it
			}
		case <-ctx.Done():
			err = ctx.Err()
		case <-i.proc.Done():
			err = tee.ErrLost
		}
	}
	if err != nil {
		i.forget(number)
		bell.Close()
		return nil, err
	}
	return bell, nil
}

// forget drops the wait for an answer.
func (i *instance) forget(stream uint32) {
	i.mu.Lock()
	delete(i.lanes, stream)
	i.mu.Unlock()
}
