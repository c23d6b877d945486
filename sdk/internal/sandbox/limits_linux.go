package sandbox

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/spawn"
)

// What the Go runtime needs beside the enclave's own memory, in bytes: it
// reserves address space generously, and takes memory in pieces of 64 MiB.
const (
	reserved  = 8 << 30
	overhead  = 128 << 20
	heapPiece = 64 << 20
)

// limit is one resource limit.
type limit struct {
	resource int
	value    uint64
}

// limits are what an enclave of manifest m may use.
func limits(m image.Manifest) []limit {
	return []limit{
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_MSGQUEUE, 0},
		{unix.RLIMIT_FSIZE, m.Memory}, // secret memory
		{unix.RLIMIT_MEMLOCK, m.Memory},
		{unix.RLIMIT_DATA, dataLimit(m)},
		{unix.RLIMIT_AS, add(reserved, add(mul(2, m.Memory), mul(m.LaneMemory, uint64(m.Lanes))))},
		{unix.RLIMIT_NOFILE, uint64(openFiles(m))},
	}
}

// dataLimit bounds the private writable memory, which is the memory of a Go
// program. It can't be exact; the runtime is told the exact figure by
// GOMEMLIMIT.
func dataLimit(m image.Manifest) uint64 {
	return add(add(m.Memory, heapPiece-1)/heapPiece*heapPiece, overhead)
}

// openFiles is how many descriptors an enclave may have: a bell for each lane,
// and some.
func openFiles(m image.Manifest) int {
	n := 64 + 2*m.Lanes
	var own unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &own) == nil && uint64(n) >= own.Cur {
		n = int(own.Cur) - 1
	}
	return n
}

// addLimits sets the limits, or those of the launching user where lower.
func (c *confinement) addLimits(name string) error {
	for _, l := range limits(c.manifest) {
		if c.guest != nil && (l.resource == unix.RLIMIT_DATA || l.resource == unix.RLIMIT_AS) {
			l.value = add(l.value, emulatorMemory)
		}
		var own unix.Rlimit
		if err := unix.Getrlimit(l.resource, &own); err != nil {
			return fmt.Errorf("reading limit %d: %w", l.resource, err)
		}
		c.addLimit(name, l.resource, min(l.value, own.Max))
	}
	c.active(name)
	return c.addThreadLimit()
}

// addThreadLimit bounds the number of threads. Older kernels count all that the
// user runs anywhere, so that a limit would hit the enclave at random.
func (c *confinement) addThreadLimit() error {
	if c.namespaces&unix.CLONE_NEWUSER == 0 {
		c.missing(partThreads, fmt.Errorf("needs a %s", partUserNS))
		return nil
	}
	if err := kernelAtLeast(5, 14); err != nil {
		c.missing(partThreads, err)
		return nil
	}
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &own); err != nil {
		return fmt.Errorf("reading the limit on threads: %w", err)
	}
	want := add(512, mul(uint64(c.manifest.Workers), uint64(c.manifest.Lanes)))
	c.addLimit(partThreads, unix.RLIMIT_NPROC, min(want, 32<<10, own.Max))
	c.active(partThreads)
	return nil
}

func (c *confinement) addLimit(part string, resource int, value uint64) {
	rlimit := binary.NativeEndian.AppendUint64(nil, value)
	rlimit = binary.NativeEndian.AppendUint64(rlimit, value)
	c.Add(spawn.Call{
		Part: part, Trap: unix.SYS_PRLIMIT64,
		Args: [6]uintptr{0, uintptr(resource), c.Bytes(rlimit), 0},
	})
}

// kernelAtLeast returns an error if the kernel is older than major.minor.
func kernelAtLeast(major, minor int) error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Errorf("asking for the kernel's version: %w", err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	var x, y int
	if _, err := fmt.Sscanf(release, "%d.%d", &x, &y); err != nil {
		return fmt.Errorf("kernel %q: %w", release, err)
	}
	if x < major || x == major && y < minor {
		return fmt.Errorf("kernel %s is older than %d.%d", release, major, minor)
	}
	return nil
}

// add and mul stop at the largest number instead of wrapping.

func add(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return math.MaxUint64
	}
	return sum
}

func mul(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi != 0 {
		return math.MaxUint64
	}
	return lo
}
