package sandbox

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// The seccomp filter allows what a Go program needs to compute, to wait, and to
// use descriptors that it was given: nothing that opens, connects, executes or
// reaches another process. To minimise it further makes programs fail at random,
// as the runtime needs some calls rarely.
//
// Anything else gets EPERM instead of death. A refused call does no harm, while
// the standard library makes some only to see whether they work (prlimit64,
// openat of a file in /sys): a filter that kills would take an enclave's state
// with it for a library's harmless question, and differently with each release
// of Go. Calls of another ABI, which no honest program mixes in, do kill.

// sysMemfdSecret is memfd_secret(2), which has one number everywhere. Not every
// architecture has it.
const sysMemfdSecret = 447

// always are the system calls allowed whatever their arguments.
var always = append([]uintptr{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_CLOSE, unix.SYS_RECVMSG, unix.SYS_FSTAT, unix.SYS_FTRUNCATE,
	unix.SYS_FUTEX, unix.SYS_MUNMAP, unix.SYS_MADVISE, sysMemfdSecret,
	unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_GETRANDOM,
	unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETCPU, unix.SYS_GETPID, unix.SYS_GETTID,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2,
	unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_DELETE,
	unix.SYS_RSEQ, unix.SYS_SET_ROBUST_LIST, unix.SYS_RESTART_SYSCALL,
	unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
}, alwaysHere...)

// test is a condition on the low half of one argument: the bits in mask have
// the value want.
type test struct {
	arg        int
	mask, want uint32
}

// all is the mask of a test on the whole half.
const all = ^uint32(0)

// mapType masks the kind of a mapping in the flags of mmap.
const mapType = 0xf

// goThread are the flags with which the Go runtime makes a thread.
const goThread = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD

// sometimes are the system calls allowed if all tests of one list hold. execAs
// is the descriptor from which the program is executed: a number that can't be
// had again once the limit on descriptors is set.
func sometimes(execAs int) map[uintptr][][]test {
	options := func(arg int, values ...uint32) (lists [][]test) {
		for _, v := range values {
			lists = append(lists, []test{{arg, all, v}})
		}
		return lists
	}
	return map[uintptr][][]test{
		unix.SYS_MMAP: {
			{{2, unix.PROT_EXEC, 0}, {3, mapType, unix.MAP_PRIVATE}},
			{{2, unix.PROT_EXEC, 0}, {3, mapType, unix.MAP_DROPPABLE}}, // getrandom of the vDSO
			// A file's, not anonymous memory, which no limit but that on address
			// space would count.
			{{2, unix.PROT_EXEC, 0}, {3, mapType | unix.MAP_ANONYMOUS, unix.MAP_SHARED}},
		},
		unix.SYS_MPROTECT: {{{2, unix.PROT_EXEC, 0}}},
		// The runtime's preemption of its own threads. Which process it goes to
		// can't be told here, and without a pid namespace all of the user's are
		// within reach: for this signal they don't care.
		unix.SYS_TGKILL:   {{{2, all, uint32(unix.SIGURG)}}},
		unix.SYS_CLONE:    {{{0, all &^ unix.CLONE_SETTLS, goThread}}},
		unix.SYS_EXECVEAT: {{{0, all, uint32(execAs)}, {4, all, unix.AT_EMPTY_PATH}}},
		unix.SYS_FCNTL: options(1,
			unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL, unix.F_GET_SEALS),
		unix.SYS_PRCTL: append(
			options(0, unix.PR_SET_VMA, unix.PR_GET_DUMPABLE, unix.PR_GET_NO_NEW_PRIVS, unix.PR_GET_SECCOMP, unix.PR_GET_MDWE),
			[]test{{0, all, unix.PR_SET_DUMPABLE}, {1, all, 0}}),
	}
}

// Offsets in struct seccomp_data.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16 // 8 bytes each, the low half first
)

// filter returns the program, as the kernel takes it, that allows some system
// calls always and others if all tests of one list hold.
func filter(always []uintptr, conditional map[uintptr][][]test) []byte {
	const (
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		and   = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
		ret   = unix.BPF_RET | unix.BPF_K
	)
	var prog []unix.SockFilter
	add := func(code uint16, jt, jf uint8, k uint32) {
		prog = append(prog, unix.SockFilter{Code: code, Jt: jt, Jf: jf, K: k})
	}
	add(load, 0, 0, offArch)
	add(equal, 1, 0, auditArch)
	add(ret, 0, 0, unix.SECCOMP_RET_KILL_PROCESS)
	add(load, 0, 0, offNumber)
	for _, nr := range always {
		add(equal, 0, 1, uint32(nr))
		add(ret, 0, 0, unix.SECCOMP_RET_ALLOW)
	}
	// A thread made by a C library, which falls back to clone if told so.
	add(equal, 0, 1, unix.SYS_CLONE3)
	add(ret, 0, 0, unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS))

	for _, nr := range sortedKeys(conditional) {
		size := 1
		for _, list := range conditional[nr] {
			size += 3*len(list) + 1
		}
		add(equal, 0, uint8(size), uint32(nr))
		for _, list := range conditional[nr] {
			for i, t := range list {
				add(load, 0, 0, uint32(offArgs+8*t.arg))
				add(and, 0, 0, t.mask)
				add(equal, 0, uint8(3*(len(list)-1-i)+1), t.want)
			}
			add(ret, 0, 0, unix.SECCOMP_RET_ALLOW)
		}
		add(ret, 0, 0, unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM))
	}
	add(ret, 0, 0, unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM))

	b := make([]byte, 0, 8*len(prog))
	for _, f := range prog {
		b = binary.NativeEndian.AppendUint16(b, f.Code)
		b = append(b, f.Jt, f.Jf)
		b = binary.NativeEndian.AppendUint32(b, f.K)
	}
	return b
}

func sortedKeys(m map[uintptr][][]test) []uintptr {
	keys := make([]uintptr, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
