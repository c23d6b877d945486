package ring

import (
	"runtime"
	"syscall"
	"unsafe"
)

// sysGetcpu is getcpu(2), which package syscall does not know everywhere.
var sysGetcpu = map[string]uintptr{"amd64": 309, "arm64": 168, "riscv64": 168}[runtime.GOARCH]

// CPU returns one more than the number of the processor that it runs on, or 0
// if that can't be known.
func CPU() uint32 {
	if sysGetcpu == 0 {
		return 0
	}
	var cpu uint32
	if _, _, errno := syscall.RawSyscall(sysGetcpu, uintptr(unsafe.Pointer(&cpu)), 0, 0); errno != 0 {
		return 0
	}
	return cpu + 1
}

// LeaveCPU moves the calling thread to another one of the processors that it may
// run on, if there is one. It may still run on all of them; to the kernel that is
// now its own choice, which it keeps if more are allowed later.
func LeaveCPU() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpu := CPU()
	var may [16]uint64
	n, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, unsafe.Sizeof(may), uintptr(unsafe.Pointer(&may)))
	if errno != 0 || cpu == 0 || int(cpu) > 64*len(may) {
		return
	}
	others := may
	others[(cpu-1)/64] &^= 1 << ((cpu - 1) % 64)
	// Without another one this fails, and nothing changes.
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, n, uintptr(unsafe.Pointer(&others))); errno == 0 {
		syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, n, uintptr(unsafe.Pointer(&may)))
	}
}
