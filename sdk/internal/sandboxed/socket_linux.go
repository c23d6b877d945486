package sandboxed

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/secgear/secgear/sdk/internal/sandbox/wire"
)

// socket is the platform socket, one packet a message.
type socket struct {
	file *os.File
	raw  syscall.RawConn
}

// openSocket uses the inherited descriptor fd, which must not block.
func openSocket(fd int) (*socket, error) {
	f, err := pollable(fd, "platform")
	if err != nil {
		return nil, err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &socket{f, raw}, nil
}

// pollable makes a file of a descriptor that must be open and not block, so that
// waiting on it takes no thread and can be interrupted.
func pollable(fd int, name string) (*os.File, error) {
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFL, 0)
	if errno != 0 {
		return nil, fmt.Errorf("using descriptor %d (%s): %w", fd, name, errno)
	}
	if flags&syscall.O_NONBLOCK == 0 {
		return nil, fmt.Errorf("using descriptor %d (%s): it blocks", fd, name)
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name), nil
}

// message is what arrived in one packet.
type message struct {
	kind  wire.Kind
	body  []byte // part of the buffer given to receive
	files []int  // descriptors, close-on-exec; -1 for those taken
}

// take hands descriptor i to the caller.
func (m *message) take(i int) int {
	fd := m.files[i]
	m.files[i] = -1
	return fd
}

// closeFiles closes the descriptors that nobody took. It may be called again.
func (m *message) closeFiles() {
	for _, fd := range m.files {
		if fd >= 0 {
			syscall.Close(fd)
		}
	}
	m.files = nil
}

// receive waits for the next packet. If it fails, it has closed what came with
// it.
func (s *socket) receive(buf []byte) (m message, err error) {
	oob := make([]byte, syscall.CmsgSpace(4*wire.LaneFiles))
	var n, noob, flags int
	readErr := s.raw.Read(func(fd uintptr) bool {
		n, noob, flags, _, err = syscall.Recvmsg(int(fd), buf, oob, syscall.MSG_CMSG_CLOEXEC)
		return err != syscall.EAGAIN && err != syscall.EINTR
	})
	if err = errors.Join(readErr, err); err != nil {
		return m, err
	}
	m.files, err = descriptors(oob[:noob])
	switch {
	case err != nil:
	case flags&(syscall.MSG_TRUNC|syscall.MSG_CTRUNC) != 0:
		err = fmt.Errorf("%w: it is too long, or has too many descriptors", wire.ErrFormat)
	case n == 0:
		err = io.EOF
	}
	if err != nil {
		m.closeFiles()
		return message{}, err
	}
	m.kind, m.body = wire.Kind(buf[0]), buf[1:n]
	return m, nil
}

// descriptors returns those that came in a packet, also if it fails.
func descriptors(oob []byte) (fds []int, err error) {
	if len(oob) == 0 {
		return nil, nil
	}
	controls, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", wire.ErrFormat, err)
	}
	for _, c := range controls {
		got, e := syscall.ParseUnixRights(&c)
		if e != nil {
			err = fmt.Errorf("%w: %w", wire.ErrFormat, e)
		}
		fds = append(fds, got...)
	}
	return fds, err
}

// send sends one packet, whole or not at all. Callers may overlap.
func (s *socket) send(message []byte) error {
	n, err := s.file.Write(message)
	if err == nil && n != len(message) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("writing to the platform: %w", err)
	}
	return nil
}

// conn is a connected stream socket that was inherited or received.
type conn struct{ *os.File }

// newConn makes a connection of fd, which must not block, and owns it.
func newConn(fd int, name string) (net.Conn, error) {
	f, err := pollable(fd, name)
	if err != nil {
		return nil, err
	}
	return conn{f}, nil
}

func (c conn) Read(b []byte) (int, error) {
	n, err := c.File.Read(b)
	return n, closed(err)
}

func (c conn) Write(b []byte) (int, error) {
	n, err := c.File.Write(b)
	return n, closed(err)
}

func (c conn) Close() error         { return closed(c.File.Close()) }
func (c conn) LocalAddr() net.Addr  { return addr(c.Name()) }
func (c conn) RemoteAddr() net.Addr { return addr(c.Name()) }

// closed turns the error of a closed file into that of a closed connection.
func closed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return net.ErrClosed
	}
	return err
}

// addr is the address of either end of a connection without one.
type addr string

func (addr) Network() string  { return "sandbox" }
func (a addr) String() string { return string(a) }
