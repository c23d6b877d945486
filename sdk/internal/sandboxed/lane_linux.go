package sandboxed

import (
	"fmt"
	"math"
	"sync"
	"syscall"

	"github.com/secgear/secgear/sdk/internal/sandbox/wire"
	"github.com/secgear/secgear/sdk/tee"
)

// Not in package syscall.
const (
	fGetSeals   = 1034
	fSealShrink = 0x2
	fSealGrow   = 0x4
)

// newLane makes a lane of the memory and bell in m, of which it takes what it
// keeps.
func newLane(size uint64, m *message, most uint64) (*tee.Lane, error) {
	if len(m.files) != wire.LaneFiles {
		return nil, fmt.Errorf("%w: lane with %d descriptors", wire.ErrFormat, len(m.files))
	}
	if size == 0 || size > math.MaxInt || most > 0 && size > most {
		return nil, fmt.Errorf("a lane of %d bytes is more than the manifest allows", size)
	}
	mem, err := mapMemory(m.files[0], int(size))
	if err != nil {
		return nil, err
	}
	release := sync.OnceFunc(func() { syscall.Munmap(mem) })
	if err := checkStream(m.files[1]); err != nil {
		release()
		return nil, err
	}
	bell, err := newConn(m.files[1], "bell")
	if err != nil {
		release()
		return nil, err
	}
	m.take(1)
	return &tee.Lane{Mem: mem, Bell: bell, Futex: true, Release: release}, nil
}

// mapMemory maps the memory file fd if it has size bytes for ever: touching it
// must never fault.
func mapMemory(fd, size int) ([]byte, error) {
	seals, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), fGetSeals, 0)
	if errno != 0 {
		return nil, fmt.Errorf("lane memory: not a memory file: %w", errno)
	}
	if both := uintptr(fSealShrink | fSealGrow); seals&both != both {
		return nil, fmt.Errorf("lane memory: its size is not sealed")
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("lane memory: %w", err)
	}
	if st.Size != int64(size) {
		return nil, fmt.Errorf("lane memory: %d bytes instead of %d", st.Size, size)
	}
	mem, err := syscall.Mmap(fd, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping %d bytes of lane memory: %w", size, err)
	}
	return mem, nil
}

// checkStream refuses what is no socket.
func checkStream(fd int) error {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return fmt.Errorf("lane bell: %w", err)
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFSOCK {
		return fmt.Errorf("lane bell: not a socket")
	}
	return nil
}
