package nitro

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/internal/ioctl"
	"github.com/secgear/secgear/sdk/internal/vsock"
)

// device is the kernel's driver for Nitro Enclaves.
const device = "/dev/nitro_enclaves"

// driver is what an instance on AWS has.
type driver interface {
	// present tells whether the driver is there, usable or not.
	present() bool
	// open opens the driver's device.
	open() (*os.File, error)
	// ioctl makes a request.
	ioctl(f *os.File, request uintptr, arg []byte) (int, error)
	// memory returns size bytes of memory in huge pages, a multiple of granule or
	// more than was asked for, and how to free them.
	memory(size uint64) (mem []byte, free func() error, err error)
	// dial connects to a port of a machine.
	dial(ctx context.Context, cid, port uint32) (net.Conn, error)
}

// Requests of linux/nitro_enclaves.h, with the layout of their data.
var (
	neCreateVM      = ioctl.Request(ioctl.Read, 0xae, 0x20, 8)              // slot uint64; returns a descriptor
	neAddVCPU       = ioctl.Request(ioctl.Read|ioctl.Write, 0xae, 0x21, 4)  // number uint32, 0 for any
	neImageLoadInfo = ioctl.Request(ioctl.Read|ioctl.Write, 0xae, 0x22, 16) // flags, offset uint64
	neSetMemory     = ioctl.Request(ioctl.Write, 0xae, 0x23, 24)            // flags, size, address uint64
	neStart         = ioctl.Request(ioctl.Read|ioctl.Write, 0xae, 0x24, 16) // flags, CID uint64
)

const (
	neEIF   = 1 // flag of neImageLoadInfo
	neDebug = 1 // flag of neStart
)

// driverErrors are the driver's own error numbers, with what to do.
var driverErrors = map[syscall.Errno]string{
	256: "the processor is in use by an enclave already",
	257: "the processor is not in the pool: change cpu_count or cpu_pool in /etc/nitro_enclaves/allocator.yaml",
	258: "the processor's core belongs to another enclave, or to none",
	259: "the memory is not a multiple of 2 MiB",
	260: "the memory's address is invalid",
	261: "the memory is not aligned to 2 MiB",
	262: "the memory is in use by an enclave already",
	263: "the memory is not in huge pages",
	264: "the memory is on another NUMA node than the processors: free huge pages on theirs",
	265: "the memory is in too many pieces: use huge pages of 1 GiB",
	266: "no memory was given",
	267: "no processors were given",
	268: "the memory is less than an enclave needs",
	269: "not all threads of a core were given: ask for whole cores",
	270: "the enclave has started already",
	271: "there is no such processor",
	272: "no processor is left in the pool: raise cpu_count in /etc/nitro_enclaves/allocator.yaml, or end another enclave",
	273: "the page size is invalid",
	274: "a flag is unknown to this kernel",
	275: "the enclave's CID is invalid",
}

// driverError explains an error of the driver's.
func driverError(doing string, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) && driverErrors[errno] != "" {
		return fmt.Errorf("%s: %s (error %d)", doing, driverErrors[errno], int(errno))
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// words encodes a request's data.
func words(values ...uint64) []byte {
	var b []byte
	for _, v := range values {
		b = binary.NativeEndian.AppendUint64(b, v)
	}
	return b
}

// word reads number n of a request's data.
func word(b []byte, n int) uint64 { return binary.NativeEndian.Uint64(b[8*n:]) }

// kernelDriver is the kernel's.
type kernelDriver struct{}

func (kernelDriver) present() bool {
	_, err := os.Stat(device)
	return !errors.Is(err, os.ErrNotExist)
}

func (kernelDriver) open() (*os.File, error) { return os.OpenFile(device, os.O_RDWR, 0) }

func (kernelDriver) ioctl(f *os.File, request uintptr, arg []byte) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var n int
	var callErr error
	err = raw.Control(func(fd uintptr) { n, callErr = ioctl.Call(fd, request, arg) })
	return n, errors.Join(err, callErr)
}

// Sizes of huge pages, as bits of mmap's flags (linux/mman.h: the logarithm).
const (
	huge2M = 21 << 26
	huge1G = 30 << 26
)

// memory maps huge pages of 2 MiB or, if there are not enough, of 1 GiB. They
// are reserved with that, so that touching them never faults.
func (kernelDriver) memory(size uint64) ([]byte, func() error, error) {
	mem, err := mapHuge(size, huge2M)
	if err != nil {
		const page = 1 << 30
		var err1 error
		if mem, err1 = mapHuge((size+page-1)/page*page, huge1G); err1 != nil {
			return nil, nil, fmt.Errorf("%d MiB of huge pages are not free "+
				"(raise memory_mib in /etc/nitro_enclaves/allocator.yaml and restart nitro-enclaves-allocator): %w", size>>20, err)
		}
	}
	return mem, func() error { return unix.Munmap(mem) }, nil
}

func mapHuge(size uint64, flags int) ([]byte, error) {
	if size > 1<<46 {
		return nil, fmt.Errorf("%d bytes of memory: %w", size, unix.ENOMEM)
	}
	return unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_HUGETLB|flags)
}

func (kernelDriver) dial(ctx context.Context, cid, port uint32) (net.Conn, error) {
	c, err := vsock.Dial(ctx, vsock.Addr{CID: cid, Port: port})
	if err != nil {
		return nil, err
	}
	return c, nil
}
