package sim

import (
	"context"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/sim/internal/wire"
)

// OpenLane implements [tee.Instance]. size is a multiple of the page size. The
// lane is its caller's: Close leaves it alone, apart from the end of its bell.
func (i *instance) OpenLane(ctx context.Context, size int) (*tee.Lane, error) {
	if size <= 0 || size%os.Getpagesize() != 0 {
		return nil, fmt.Errorf("opening a lane: %d bytes are not a number of pages", size)
	}
	file, mem, err := laneMemory(size)
	if err != nil {
		return nil, fmt.Errorf("opening a lane: %w", err)
	}
	lane, err := i.openLane(ctx, file, mem)
	if err != nil {
		unix.Munmap(mem)
		return nil, fmt.Errorf("opening a lane: %w", err)
	}
	return lane, nil
}

// openLane hands file and the other end of a new bell to the enclave. It
// consumes file, but not mem if it fails.
func (i *instance) openLane(ctx context.Context, file *os.File, mem []byte) (*tee.Lane, error) {
	pair, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		file.Close()
		return nil, err
	}
	bell, err := unixConn(pair[0])
	if err != nil {
		pair[1].Close()
		file.Close()
		return nil, err
	}
	if err := i.offer(ctx, len(mem), file, pair[1]); err != nil {
		bell.Close()
		return nil, err
	}
	release := sync.OnceFunc(func() {
		if err := unix.Munmap(mem); err != nil {
			i.log.Error("unmapping a lane", "err", err)
		}
	})
	return &tee.Lane{Mem: mem, Bell: bell, Futex: true, Release: release}, nil
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
