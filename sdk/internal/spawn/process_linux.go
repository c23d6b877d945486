package spawn

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Program is what a plan ends in.
type Program struct {
	// Args and Env are passed as they are. None holds a zero byte.
	Args, Env []string
	// Namespaces are the CLONE_NEW… flags of those made for the process.
	Namespaces uintptr
	// Prepare is called with the process's number before the process makes its
	// first call, to write its user and group maps. May be nil.
	Prepare func(pid int) error
}

// Process is a started program. Its methods may be called concurrently.
type Process struct {
	// Pid is the process's number, in the namespace of the calling process.
	Pid int

	mu     sync.Mutex
	pidfd  int // -1 after the end
	done   chan struct{}
	status syscall.WaitStatus
	err    error
}

// ErrRefused is matched by the error of Start if the kernel doesn't make the
// namespaces asked for, or Prepare failed.
var ErrRefused = errors.New("the kernel refuses a process with its namespaces")

// refusals are the errors by which the kernel says that it doesn't make
// namespaces for this process, or at all.
var refusals = []error{unix.EPERM, unix.EACCES, unix.EINVAL, unix.ENOSPC, unix.EUSERS, unix.ENOSYS}

// Start runs the plan. It returns once the program has been executed, with the
// calls that failed without being essential. The program is killed when ctx
// ends before that, when the calling process ends, and by [Process.Kill].
//
// Without an executable the process ends after its calls, with status 0.
func (p *Plan) Start(ctx context.Context, prog Program) (*Process, []Failure, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	c := p.child(prog)
	proc := &Process{pidfd: -1, done: make(chan struct{})}
	proc.mu.Lock() // until pidfd is known
	pid, err := c.start(proc.ended)
	if err == nil {
		proc.Pid, proc.pidfd = pid, int(c.pidfd)
	}
	proc.mu.Unlock()
	runtime.KeepAlive(c)
	runtime.KeepAlive(p.bytes)
	if err != nil {
		if slices.Contains(refusals, err) {
			return nil, nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return nil, nil, fmt.Errorf("making a process: %w", err)
	}
	failures, err := p.follow(ctx, proc, prog.Prepare)
	if err != nil {
		proc.Kill()
		<-proc.done
		return nil, failures, err
	}
	return proc, failures, nil
}

// child lays out what the new process needs.
func (p *Plan) child(prog Program) *child {
	c := &child{
		namespaces: prog.Namespaces,
		calls:      p.calls,
		part:       make([]int, len(p.calls)),
		results:    make([]int32, len(p.calls)),
		report:     uintptr(p.sync[1]),
		exec: [5]uintptr{
			uintptr(p.execAs), p.Bytes([]byte{0}), p.strings(prog.Args), p.strings(prog.Env), unix.AT_EMPTY_PATH,
		},
	}
	for i := range c.calls {
		c.results[i] = notMade
		if i > 0 {
			c.part[i] = c.part[i-1]
			if c.calls[i].Part != c.calls[i-1].Part {
				c.part[i]++
			}
		}
	}
	return c
}

// follow sees the process through to the execution of its program, or kills it
// when ctx ends before that.
func (p *Plan) follow(ctx context.Context, proc *Process, prepare func(int) error) ([]Failure, error) {
	// The child's end must be held by the child alone for its end to be seen.
	p.drop(p.sync[1])
	stop := context.AfterFunc(ctx, func() { proc.Kill() })
	failures, err := p.release(proc, prepare)
	if !stop() {
		return nil, ctx.Err()
	}
	return failures, err
}

// release lets the process begin, and waits until it has executed its program.
func (p *Plan) release(proc *Process, prepare func(int) error) ([]Failure, error) {
	if prepare != nil {
		if err := prepare(proc.Pid); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
	}
	sync := os.NewFile(uintptr(p.sync[0]), "sync")
	p.sync[0] = -1
	defer sync.Close()
	if _, err := sync.Write([]byte{1}); err != nil {
		return nil, fmt.Errorf("releasing the process: %w", err)
	}
	return p.readReport(sync)
}

// readReport reads how the calls went, and waits for the program's execution.
func (p *Plan) readReport(r io.Reader) ([]Failure, error) {
	report := make([]int32, len(p.calls))
	if err := binary.Read(r, binary.NativeEndian, report); err != nil {
		return nil, fmt.Errorf("the process died before it was confined: %w", err)
	}
	var failures []Failure
	for i, result := range report {
		if result == 0 || result == notMade {
			continue
		}
		err := error(syscall.Errno(result))
		if p.calls[i].Essential {
			return failures, fmt.Errorf("%s: %w", p.calls[i].Part, err)
		}
		failures = append(failures, Failure{p.calls[i].Part, err})
	}
	var exec int32
	switch err := binary.Read(r, binary.NativeEndian, &exec); {
	case err == nil:
		return failures, fmt.Errorf("executing the program: %w", syscall.Errno(exec))
	case !errors.Is(err, io.EOF):
		return failures, fmt.Errorf("waiting for the program's execution: %w", err)
	}
	return failures, nil
}

// drop closes one of the plan's descriptors early.
func (p *Plan) drop(fd int) {
	for i := range p.files {
		if p.files[i] == fd {
			unix.Close(fd)
			p.files[i] = -1
		}
	}
}

// ended notes the end of the process.
func (p *Process) ended(status syscall.WaitStatus, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.err = status, err
	unix.Close(p.pidfd)
	p.pidfd = -1
	close(p.done)
}

// Kill ends the process at once. It does nothing after its end.
func (p *Process) Kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pidfd < 0 {
		return nil
	}
	err := unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0)
	if err != nil && err != unix.ESRCH {
		return fmt.Errorf("killing the process: %w", err)
	}
	return nil
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Status is how the process ended, valid after Done. The error is not nil if
// someone else reaped it.
func (p *Process) Status() (syscall.WaitStatus, error) { return p.status, p.err }
