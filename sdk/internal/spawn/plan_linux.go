package spawn

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Call is one system call that the new process makes.
type Call struct {
	// Part names what the call belongs to, for reports. The calls of a part
	// stand together; after one fails, the rest of its part is left out.
	Part string

	// Essential ends the process when the call fails.
	Essential bool

	Trap uintptr    // SYS_…
	Args [6]uintptr // memory from Plan.Bytes, descriptors from Plan.File

	// Result, unless zero, is what the call must return.
	Result uintptr
	// Fails, unless zero, is the error with which the call must fail.
	Fails syscall.Errno
}

// Failure is a call that did not do what it was to do.
type Failure struct {
	Part string
	Err  error
}

// Plan is a process to be: its system calls, and what they refer to. It belongs
// to one goroutine.
type Plan struct {
	calls []Call
	bytes [][]byte // what Args point to
	files []int    // descriptors held until Close
	sync  [2]int   // socket pair: parent's end, child's end

	execAs int // descriptor of the executable in the process
}

// Lowest is where the descriptors of a plan begin, so that none is overwritten
// while the program's own are put in place.
const Lowest = 64

// New returns a plan that has the process wait for its parent, and die with it.
// Close releases it.
func New() (*Plan, error) {
	p := &Plan{sync: [2]int{-1, -1}}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a socket pair: %w", err)
	}
	p.sync[0] = pair[0]
	p.sync[1], err = p.File(pair[1])
	unix.Close(pair[1])
	if err != nil {
		p.Close()
		return nil, err
	}
	const part = "start"
	p.Add(
		Call{Part: part, Essential: true, Trap: unix.SYS_CLOSE, Args: [6]uintptr{uintptr(p.sync[0])}},
		dieWithParent(part),
		Call{Part: part, Essential: true, Trap: unix.SYS_RECVFROM, Args: [6]uintptr{uintptr(p.sync[1]), p.Bytes([]byte{0}), 1}, Result: 1},
	)
	return p, nil
}

// Add appends calls.
func (p *Plan) Add(calls ...Call) { p.calls = append(p.calls, calls...) }

// DieWithParent appends the calls that renew the parent-death signal, which the
// kernel forgets when a process changes its user.
func (p *Plan) DieWithParent() {
	const part = "parent-death signal"
	p.Add(
		dieWithParent(part),
		// The parent is still there: its end of the socket is open, and silent.
		Call{
			Part: part, Essential: true, Trap: unix.SYS_RECVFROM,
			Args:  [6]uintptr{uintptr(p.sync[1]), p.Bytes([]byte{0}), 1, unix.MSG_DONTWAIT},
			Fails: unix.EAGAIN,
		},
	)
}

func dieWithParent(part string) Call {
	return Call{
		Part: part, Essential: true, Trap: unix.SYS_PRCTL,
		Args: [6]uintptr{unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL)},
	}
}

// Bytes returns the address of a copy of b that the new process has. What a
// call writes there is lost.
func (p *Plan) Bytes(b []byte) uintptr {
	if len(b) == 0 {
		return 0
	}
	b = bytes.Clone(b)
	p.bytes = append(p.bytes, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

// String is Bytes for a string and the zero byte after it. The string holds no
// zero byte.
func (p *Plan) String(s string) uintptr { return p.Bytes(append([]byte(s), 0)) }

// strings is String for a list, terminated by a nil pointer.
func (p *Plan) strings(list []string) uintptr {
	table := make([]uintptr, len(list)+1)
	for i, s := range list {
		table[i] = p.String(s)
	}
	return p.Bytes(unsafe.Slice((*byte)(unsafe.Pointer(&table[0])), len(table)*int(unsafe.Sizeof(table[0]))))
}

// Now makes a system call in the calling process, for what the plan needs, and
// returns its result. args may hold memory from Bytes.
func (p *Plan) Now(trap uintptr, args [6]uintptr) (uintptr, error) {
	r, _, errno := syscall.Syscall6(trap, args[0], args[1], args[2], args[3], args[4], args[5])
	runtime.KeepAlive(p.bytes)
	if errno != 0 {
		return 0, errno
	}
	return r, nil
}

// File returns another descriptor for what fd is, for use in calls; the plan
// closes it, and the program does not get it.
func (p *Plan) File(fd int) (int, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, Lowest)
	if err != nil {
		return -1, fmt.Errorf("duplicating a descriptor: %w", err)
	}
	p.files = append(p.files, dup)
	return dup, nil
}

// Files appends the calls that give the program fds as its descriptors 0, 1, 2
// and so on, and no others.
func (p *Plan) Files(fds ...int) error {
	for i, fd := range fds {
		dup, err := p.File(fd)
		if err != nil {
			return err
		}
		p.Add(Call{Part: "descriptors", Essential: true, Trap: unix.SYS_DUP3, Args: [6]uintptr{uintptr(dup), uintptr(i)}})
	}
	p.Add(Call{
		Part: "no inherited descriptors", Trap: unix.SYS_CLOSE_RANGE,
		Args: [6]uintptr{uintptr(len(fds)), ^uintptr(0) >> 32, unix.CLOSE_RANGE_CLOEXEC},
	})
	return nil
}

// Executable appends the call that gives the process the descriptor fd of its
// program under the number as, from which it is executed at the end. It is
// closed then. The calls after it may set a limit on descriptors that is below
// as, but must leave it open.
func (p *Plan) Executable(fd, as int) error {
	dup, err := p.File(fd)
	if err == nil && dup == as { // which can't be duplicated to itself
		dup, err = p.File(fd)
	}
	if err != nil {
		return err
	}
	p.execAs = as
	p.Add(Call{
		Part: "program", Essential: true, Trap: unix.SYS_DUP3,
		Args: [6]uintptr{uintptr(dup), uintptr(as), unix.O_CLOEXEC},
	})
	return nil
}

// Close releases what the plan holds. It may be called again.
func (p *Plan) Close() {
	for _, fd := range slices.Concat(p.files, p.sync[:1]) {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	p.files, p.sync = nil, [2]int{-1, -1}
}
