package sandbox

import (
	"context"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/internal/sandbox/wire"
	"github.com/secgear/secgear/sdk/tee"
)

// OpenLane implements [tee.Instance]. size is a multiple of the page size. The
// lane is its caller's: Close leaves it alone, apart from the end of its bell.
func (i *instance) OpenLane(ctx context.Context, size int) (*tee.Lane, error) {
	file, socket, err := i.OpenLaneFiles(ctx, size)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	bell, err := unixConn(socket)
	if err != nil {
		return nil, fmt.Errorf("opening a lane: %w", err)
	}
	mem, err := unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		bell.Close()
		return nil, fmt.Errorf("opening a lane: mapping its memory: %w", err)
	}
	release := sync.OnceFunc(func() {
		if err := unix.Munmap(mem); err != nil {
			i.log.Error("unmapping a lane", "err", err)
		}
	})
	return &tee.Lane{Mem: mem, Bell: bell, Futex: true, Release: release}, nil
}

// OpenLaneFiles implements [tee.LaneFiles]. size is a multiple of the page size.
func (i *instance) OpenLaneFiles(ctx context.Context, size int) (mem, bell *os.File, err error) {
	if size <= 0 || size%os.Getpagesize() != 0 {
		return nil, nil, fmt.Errorf("opening a lane: %d bytes are not a number of pages", size)
	}
	if mem, err = laneMemory(size); err != nil {
		return nil, nil, fmt.Errorf("opening a lane: %w", err)
	}
	if bell, err = i.openLane(ctx, mem, size); err != nil {
		mem.Close()
		return nil, nil, fmt.Errorf("opening a lane: %w", err)
	}
	return mem, bell, nil
}

// openLane hands the enclave mem and the other end of the new bell that it
// returns.
func (i *instance) openLane(ctx context.Context, mem *os.File, size int) (*os.File, error) {
	fd, err := unix.FcntlInt(mem.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("sharing the memory: %w", err)
	}
	theirs := os.NewFile(uintptr(fd), mem.Name())
	pair, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		theirs.Close()
		return nil, err
	}
	if err := i.offer(ctx, size, theirs, pair[1]); err != nil {
		pair[0].Close()
		return nil, err
	}
	return pair[0], nil
}

// offer sends the enclave a lane and waits until it has taken it.
func (i *instance) offer(ctx context.Context, size int, files ...*os.File) error {
	answer := make(chan error, 1)
	i.mu.Lock()
	i.nextLane++
	id := i.nextLane
	i.lanes[id] = answer
	i.mu.Unlock()
	defer func() {
		i.mu.Lock()
		delete(i.lanes, id)
		i.mu.Unlock()
	}()
	if err := i.post(ctx, packet{wire.Lane(id, uint64(size)), files}); err != nil {
		for _, f := range files {
			f.Close()
		}
		return err
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-i.proc.Done():
		return tee.ErrLost
	}
}
