package ring

import (
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	futexWait = 0
	futexWake = 1
)

// HasFutex tells whether FutexWait and FutexWake work here.
const HasFutex = true

// FutexWait blocks the thread while *w is v, for at most d, or until woken. It
// may return early for no reason.
func FutexWait(w *atomic.Uint32, v uint32, d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	syscall.Syscall6(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(w)), futexWait, uintptr(v),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// FutexWake wakes at most n threads, of any process, that wait on w.
func FutexWake(w *atomic.Uint32, n int) {
	syscall.RawSyscall6(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(w)), futexWake, uintptr(n), 0, 0, 0)
}
