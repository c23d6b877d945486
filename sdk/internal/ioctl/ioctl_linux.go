package ioctl

import (
	"runtime"
	"syscall"
	"unsafe"
)

// Directions of a request's data, seen from the calling program.
const (
	None  = 0
	Write = 1
	Read  = 2
)

// Request returns a request's number as the kernel's macros _IO, _IOR, _IOW and
// _IOWR make it on amd64, arm64 and riscv64.
func Request(direction, kind, number, size uintptr) uintptr {
	return direction<<30 | size<<16 | kind<<8 | number
}

// Call makes a request whose data is arg, which the kernel may read and write.
// It returns what the call returned.
func Call(fd, request uintptr, arg []byte) (int, error) {
	n, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(unsafe.SliceData(arg))))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// Address is where mem lies. Its caller keeps mem alive, and sees to it that it
// does not lie on a stack: it was mapped, or is pinned.
func Address(mem []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(mem)))) }

// Exchange makes a request whose data is two ranges of memory, each an address
// and a length of 64 bits: one that the kernel reads and one that it writes. It
// returns how much of the second it has written.
func Exchange(fd, request uintptr, out, in []byte) (int, error) {
	var pins runtime.Pinner
	defer pins.Unpin()
	ranges := &[4]uint64{0, uint64(len(out)), 0, uint64(len(in))}
	for i, mem := range [][]byte{out, in} {
		if len(mem) > 0 {
			pins.Pin(&mem[0])
			ranges[2*i] = Address(mem)
		}
	}
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(ranges)))
	if errno != 0 {
		return 0, errno
	}
	if ranges[3] > uint64(len(in)) {
		return 0, syscall.EPROTO
	}
	return int(ranges[3]), nil
}
