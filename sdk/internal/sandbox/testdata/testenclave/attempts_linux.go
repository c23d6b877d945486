package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/tee/teetest/testenclave"
)

// attempts are what the sandbox's tests have the enclave try. An error is what
// they hope for.
var attempts = map[string]testenclave.Command{
	"open": func(args []string) (string, error) {
		f, err := os.Open(args[0])
		if err != nil {
			return "", err
		}
		defer f.Close()
		info, err := f.Readdirnames(-1)
		return fmt.Sprint(info), err
	},
	"filesize": func(args []string) (string, error) {
		fd, err := unix.Open(args[0], unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", err
		}
		defer unix.Close(fd)
		size, err := unix.Seek(fd, 0, io.SeekEnd)
		return fmt.Sprint(size), err
	},
	"create": func(args []string) (string, error) { return "", os.WriteFile(args[0], nil, 0o600) },
	"mkdir":  func(args []string) (string, error) { return "", os.Mkdir(args[0], 0o700) },
	"stat": func(args []string) (string, error) {
		var st unix.Stat_t
		return "", unix.Stat(args[0], &st)
	},
	"inet": func([]string) (string, error) {
		return "", connect(unix.AF_INET, &unix.SockaddrInet4{Port: 80, Addr: [4]byte{127, 0, 0, 1}})
	},
	"unix": func([]string) (string, error) {
		return "", connect(unix.AF_UNIX, &unix.SockaddrUnix{Name: "/run/systemd/private"})
	},
	"abstract": func(args []string) (string, error) {
		return "", connect(unix.AF_UNIX, &unix.SockaddrUnix{Name: "@" + args[0]})
	},
	"netlink":      call(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, 0),
	"socket":       call(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0),
	"socketpair":   call(unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_STREAM, 0, buf()),
	"ptrace":       call(unix.SYS_PTRACE, unix.PTRACE_TRACEME),
	"readv":        call(unix.SYS_PROCESS_VM_READV, 1),
	"execve":       call(unix.SYS_EXECVE, str("/bin/true"), 0, 0),
	"execveat":     call(unix.SYS_EXECVEAT, ^uintptr(99), str("/bin/true"), 0, 0, 0),
	"execvefd":     call(unix.SYS_EXECVEAT, 96, str(""), 0, 0, unix.AT_EMPTY_PATH),
	"fork":         fork,
	"clone3":       call(unix.SYS_CLONE3, 0, 0),
	"mmapexec":     call(unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, ^uintptr(0)),
	"mmapwx":       call(unix.SYS_MMAP, 0, 4096, unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, ^uintptr(0)),
	"mmapshared":   call(unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS, ^uintptr(0)),
	"mprotectexec": mprotectExec,
	"memfd":        call(unix.SYS_MEMFD_CREATE, str("x"), 0),
	"mount":        call(unix.SYS_MOUNT, str("x"), str("/"), str("tmpfs"), 0, 0),
	"remount":      call(unix.SYS_MOUNT, 0, str("/"), 0, unix.MS_REMOUNT|unix.MS_BIND, 0),
	"umount":       call(unix.SYS_UMOUNT2, str("/"), 0),
	"chroot":       call(unix.SYS_CHROOT, str("/")),
	"unshare":      call(unix.SYS_UNSHARE, unix.CLONE_NEWUTS),
	"sethostname":  call(unix.SYS_SETHOSTNAME, str("x"), 1),
	"setuid":       call(unix.SYS_SETRESUID, 0, 0, 0),
	"setgid":       call(unix.SYS_SETRESGID, 0, 0, 0),
	"setgroups":    call(unix.SYS_SETGROUPS, 0, 0),
	"killall":      call(unix.SYS_KILL, ^uintptr(0), uintptr(unix.SIGTERM)),
	"signalhost": func(args []string) (string, error) {
		n, _ := strconv.Atoi(args[0])
		return call(unix.SYS_TGKILL, uintptr(n), uintptr(n), 0)(nil)
	},
	"killhost": func(args []string) (string, error) {
		n, _ := strconv.Atoi(args[0])
		return call(unix.SYS_KILL, uintptr(n), 0)(nil)
	},
	"rlimit":      setLimit,
	"affinity":    call(unix.SYS_SCHED_SETAFFINITY, 0, 128, buf()),
	"bpf":         call(unix.SYS_BPF, 0, buf(), 120),
	"iouring":     call(unix.SYS_IO_URING_SETUP, 1, buf()),
	"userfaultfd": call(unix.SYS_USERFAULTFD, 0),
	"perf":        call(unix.SYS_PERF_EVENT_OPEN, buf(), 0, ^uintptr(0), ^uintptr(0), 0),
	"addkey":      call(unix.SYS_ADD_KEY, str("user"), str("x"), str("x"), 1, ^uintptr(2)),
	"dumpable":    call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1),
	"ambient":     call(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_SYS_ADMIN),
	"newprivs":    call(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 0),
	"ioctl":       call(unix.SYS_IOCTL, 0, unix.TCGETS, buf()),

	"packet": packet,

	"cores":   cores,
	"alloc":   alloc,
	"threads": threads,
}

// buf is the address of some zero bytes.
func buf() uintptr { return uintptr(unsafe.Pointer(&zeros[0])) }

var zeros [4096]byte

// kept keeps what str returned.
var kept [][]byte

// str is the address of s and a zero byte.
func str(s string) uintptr {
	b := append([]byte(s), 0)
	kept = append(kept, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

// call makes a system call.
func call(trap uintptr, args ...uintptr) testenclave.Command {
	var a [6]uintptr
	copy(a[:], args)
	return func([]string) (string, error) {
		r, _, errno := unix.RawSyscall6(trap, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno != 0 {
			return "", errno
		}
		return fmt.Sprint(r), nil
	}
}

func connect(family int, to unix.Sockaddr) error {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	return unix.Connect(fd, to)
}

// fork makes a process, which ends at once.
func fork([]string) (string, error) {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return "", errno
	}
	if pid == 0 {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return "forked", nil
}

// mprotectExec makes written memory executable.
func mprotectExec([]string) (string, error) {
	b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return "", err
	}
	b[0] = 0xc3
	return "", unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC)
}

// setLimit raises the limit on descriptors.
func setLimit([]string) (string, error) {
	return "", unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20})
}

// packet sends the host a message of the given bytes, repeated, over the
// platform socket.
func packet(args []string) (string, error) {
	b, err := hex.DecodeString(args[0])
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return "", err
	}
	_, err = unix.Write(wirePlatform, bytes.Repeat(b, n))
	return "", err
}

// wirePlatform is the descriptor of the platform socket.
const wirePlatform = 3

func cores([]string) (string, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return "", err
	}
	return fmt.Sprint(set.Count(), set.IsSet(0)), nil
}

// alloc uses the given number of MiB.
func alloc(args []string) (string, error) {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return "", err
	}
	var all [][]byte
	for range n {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		all = append(all, b)
	}
	return fmt.Sprint(len(all)), nil
}

// threads occupies the given number of threads for ever.
func threads(args []string) (string, error) {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return "", err
	}
	ready := make(chan bool)
	for range n {
		go func() {
			runtime.LockOSThread()
			ready <- true
			select {}
		}()
		<-ready
	}
	return "made", nil
}
