package spawn

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// These keep signal handlers and other forks away while there are two copies of
// this thread.

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

// child is what the new process works through, made before the fork.
type child struct {
	namespaces uintptr // CLONE_NEW…
	pidfd      int32   // filled by clone
	calls      []Call
	part       []int      // of each call, by number
	results    []int32    // of each call: 0, an errno, or notMade; then that of exec
	report     uintptr    // descriptor that results go to
	exec       [5]uintptr // arguments of execveat; the descriptor is 0 if there is no program
}

// notMade stands in the results for a call that was left out.
const notMade = -1

// fork makes the process. In the parent it returns; the child goes through the
// calls and never returns.
//
// The child is a copy of one thread of a Go program: it must not allocate, grow
// its stack, lock anything or call what might. For the same reason it is built
// without race instrumentation.
//
//go:norace
//go:noinline
func (p *child) fork() (pid uintptr, errno syscall.Errno) {
	var (
		i      int
		r      uintptr
		c      *Call
		failed int
	)
	beforeFork()
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, p.namespaces|unix.CLONE_PIDFD|uintptr(unix.SIGCHLD), 0,
		uintptr(unsafe.Pointer(&p.pidfd)), 0, 0, 0)
	if errno != 0 || pid != 0 {
		afterFork()
		return pid, errno
	}

	afterForkInChild()
	failed = -1
	for i = range p.calls {
		if p.part[i] == failed {
			continue
		}
		c = &p.calls[i]
		r, _, errno = syscall.RawSyscall6(c.Trap, c.Args[0], c.Args[1], c.Args[2], c.Args[3], c.Args[4], c.Args[5])
		switch {
		case errno != 0 && errno == c.Fails:
			errno = 0
		case errno == 0 && (c.Fails != 0 || c.Result != 0 && r != c.Result):
			errno = unix.EPROTO
		}
		p.results[i] = int32(errno)
		if errno == 0 {
			continue
		}
		failed = p.part[i]
		if c.Essential {
			goto out
		}
	}
	syscall.RawSyscall(unix.SYS_WRITE, p.report, uintptr(unsafe.Pointer(&p.results[0])), uintptr(len(p.calls))*4)
	if p.exec[0] == 0 {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	_, _, errno = syscall.RawSyscall6(unix.SYS_EXECVEAT, p.exec[0], p.exec[1], p.exec[2], p.exec[3], p.exec[4], 0)
	p.results[0] = int32(errno)
	syscall.RawSyscall(unix.SYS_WRITE, p.report, uintptr(unsafe.Pointer(&p.results[0])), 4)
	goto exit
out:
	syscall.RawSyscall(unix.SYS_WRITE, p.report, uintptr(unsafe.Pointer(&p.results[0])), uintptr(len(p.calls))*4)
exit:
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 127, 0, 0)
	}
}

// start forks from a thread of its own, which stays until the process has ended
// and been reaped: the kernel's parent-death signal belongs to a thread. It
// returns the process's number; ended is called once, unless start fails.
func (p *child) start(ended func(syscall.WaitStatus, error)) (pid int, err error) {
	type result struct {
		pid   uintptr
		errno syscall.Errno
	}
	forked := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its goroutine
		syscall.ForkLock.Lock()
		pid, errno := p.fork()
		syscall.ForkLock.Unlock()
		forked <- result{pid, errno}
		if errno == 0 {
			ended(reap(int(pid)))
		}
	}()
	r := <-forked
	if r.errno != 0 {
		return 0, r.errno
	}
	return int(r.pid), nil
}

// reap waits for the end of process pid.
func reap(pid int) (status syscall.WaitStatus, err error) {
	for {
		_, err = syscall.Wait4(pid, &status, 0, nil)
		if err != syscall.EINTR {
			return status, err
		}
	}
}
