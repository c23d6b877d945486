package sandbox

import (
	"slices"

	"golang.org/x/sys/unix"
)

// What an emulator may call, which is what stands between a program and the
// machine: an emulator in user mode keeps its memory where the program reaches
// it, so that a program that was taken over is the emulator. Beyond what a Go
// program may call, the emulator
//
//   - opens the program, by its name, which can't be told from opening another
//     file: there is no other, and none is opened for writing;
//   - looks at that file;
//   - makes code at run time;
//   - maps anonymous memory in the place of a lane's, before that;
//   - makes threads as the C library does, and asks for its limits.
//
// The calls were found by running, with QEMU 7.2. An emulator that lacks one
// gets EPERM, which it passes on to the program or dies of.

// alwaysEmulated are the system calls allowed whatever their arguments.
var alwaysEmulated = slices.Concat(always, []uintptr{
	unix.SYS_BRK, unix.SYS_LSEEK, unix.SYS_PREAD64, unix.SYS_SYSINFO, unix.SYS_UNAME, unix.SYS_SET_TID_ADDRESS,
	unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID,
})

// cThread are the flags with which a C library makes a thread.
const cThread = goThread | unix.CLONE_SETTLS | unix.CLONE_PARENT_SETTID | unix.CLONE_CHILD_CLEARTID

// sometimesEmulated is sometimes for an emulator.
func sometimesEmulated(execAs int) map[uintptr][][]test {
	m := sometimes(execAs)
	m[unix.SYS_CLONE] = append(m[unix.SYS_CLONE], []test{{0, all, cThread}})
	m[unix.SYS_MPROTECT] = [][]test{{}}
	m[unix.SYS_MMAP] = append(
		slices.Clip(m[unix.SYS_MMAP]),
		[]test{{3, mapType | unix.MAP_ANONYMOUS, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS}},
		[]test{{2, unix.PROT_EXEC, 0}, {3, mapType | unix.MAP_ANONYMOUS, unix.MAP_SHARED | unix.MAP_ANONYMOUS}},
	)
	m[unix.SYS_OPENAT] = [][]test{{{2, all &^ unix.O_CLOEXEC, unix.O_RDONLY}}}
	m[sysFstatat] = [][]test{{{3, all, unix.AT_EMPTY_PATH}}}
	// To ask, not to set: that takes an address, of which the high half could
	// be all there is. An enclave can lower its own limits.
	m[unix.SYS_PRLIMIT64] = [][]test{{{2, all, 0}}}
	return m
}
