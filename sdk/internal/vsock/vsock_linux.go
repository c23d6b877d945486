package vsock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Addr is one end of a connection: a machine (CID) and a port.
type Addr struct{ CID, Port uint32 }

// Network implements [net.Addr].
func (Addr) Network() string { return "vsock" }

// String implements [net.Addr].
func (a Addr) String() string { return fmt.Sprintf("%d:%d", a.CID, a.Port) }

// sockaddr is struct sockaddr_vm of linux/vm_sockets.h.
type sockaddr struct {
	family, reserved uint16
	port, cid        uint32
	flags            uint8
	zero             [3]uint8
}

const (
	family      = 40 // AF_VSOCK
	sockaddrLen = unsafe.Sizeof(sockaddr{})
)

func (a Addr) raw() sockaddr { return sockaddr{family: family, cid: a.CID, port: a.Port} }

// newSocket returns a stream socket that doesn't block.
func newSocket() (int, error) {
	return syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
}

// Listener accepts connections.
type Listener struct {
	file *os.File
	raw  syscall.RawConn
}

// Listen listens on a port of this machine.
func Listen(port uint32) (*Listener, error) {
	fd, err := newSocket()
	if err != nil {
		return nil, fmt.Errorf("making a vsock: %w", err)
	}
	a := Addr{Any, port}.raw()
	_, _, errno := syscall.Syscall(syscall.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&a)), sockaddrLen)
	if errno != 0 {
		syscall.Close(fd)
		return nil, fmt.Errorf("binding vsock port %d: %w", port, errno)
	}
	if err := syscall.Listen(fd, 128); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("listening on vsock port %d: %w", port, err)
	}
	f := os.NewFile(uintptr(fd), "vsock listener")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Listener{f, raw}, nil
}

// Accept waits for the next connection.
func (l *Listener) Accept() (*Conn, error) {
	var (
		fd    uintptr
		errno syscall.Errno
		peer  sockaddr
	)
	err := l.raw.Read(func(s uintptr) bool {
		for {
			n := uint32(sockaddrLen)
			fd, _, errno = syscall.Syscall6(syscall.SYS_ACCEPT4, s, uintptr(unsafe.Pointer(&peer)),
				uintptr(unsafe.Pointer(&n)), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
			if errno != syscall.EINTR && errno != syscall.ECONNABORTED {
				return errno != syscall.EAGAIN
			}
		}
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("accepting on vsock: %w", net.ErrClosed)
	case errno != 0:
		return nil, fmt.Errorf("accepting on vsock: %w", errno)
	}
	return newConn(int(fd), Addr{peer.cid, peer.port}), nil
}

// Close ends the listener; Accept returns.
func (l *Listener) Close() error { return l.file.Close() }

// Conn is a connection.
type Conn struct {
	file    *os.File
	peer    Addr
	writing sync.Mutex // one Write at a time
}

var _ net.Conn = (*Conn)(nil)

func newConn(fd int, peer Addr) *Conn {
	return &Conn{file: os.NewFile(uintptr(fd), "vsock"), peer: peer}
}

// Dial connects to a. The kernel gives up by itself after two seconds if nobody
// answers.
func Dial(ctx context.Context, a Addr) (*Conn, error) {
	c, err := dial(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("connecting to vsock %v: %w", a, err)
	}
	return c, nil
}

func dial(ctx context.Context, a Addr) (*Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fd, err := newSocket()
	if err != nil {
		return nil, err
	}
	to := a.raw()
	_, _, errno := syscall.Syscall(syscall.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&to)), sockaddrLen)
	if errno != 0 && errno != syscall.EINPROGRESS && errno != syscall.EINTR {
		syscall.Close(fd)
		return nil, errno
	}
	c := newConn(fd, a)
	stop := context.AfterFunc(ctx, func() { c.Close() })
	err = c.connected()
	if !stop() {
		c.Close()
		return nil, ctx.Err()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// connected waits until the connection is made, or is not.
func (c *Conn) connected() error {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	var (
		state    int
		stateErr error
	)
	err = raw.Write(func(fd uintptr) bool {
		state, stateErr = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
		return stateErr != nil || state != 0 || hasPeer(fd)
	})
	switch {
	case err != nil:
		return net.ErrClosed
	case stateErr != nil:
		return stateErr
	case state != 0:
		return syscall.Errno(state)
	}
	return nil
}

// hasPeer tells whether the socket is connected.
func hasPeer(fd uintptr) bool {
	var peer sockaddr
	n := uint32(sockaddrLen)
	_, _, errno := syscall.Syscall(syscall.SYS_GETPEERNAME, fd, uintptr(unsafe.Pointer(&peer)), uintptr(unsafe.Pointer(&n)))
	return errno == 0
}

// Read implements [net.Conn].
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.file.Read(b)
	return n, closed(err)
}

// maxWrite is how much is written at a time. Larger pieces, which the kernel sends
// as one packet of up to 64 KiB, were seen to stay in vhost-device-vsock 0.3.0
// until something else came.
const maxWrite = 16 << 10

// Write implements [net.Conn].
func (c *Conn) Write(b []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	for first := true; err == nil && (first || n < len(b)); first = false {
		var m int
		m, err = c.file.Write(b[n:min(len(b), n+maxWrite)])
		n += m
	}
	return n, closed(err)
}

// Close implements [net.Conn].
func (c *Conn) Close() error { return closed(c.file.Close()) }

// LocalAddr implements [net.Conn].
func (c *Conn) LocalAddr() net.Addr { return Addr{Any, 0} }

// RemoteAddr implements [net.Conn].
func (c *Conn) RemoteAddr() net.Addr { return c.peer }

// Peer is the other end.
func (c *Conn) Peer() Addr { return c.peer }

// SetDeadline implements [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error { return closed(c.file.SetDeadline(t)) }

// SetReadDeadline implements [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error { return closed(c.file.SetReadDeadline(t)) }

// SetWriteDeadline implements [net.Conn].
func (c *Conn) SetWriteDeadline(t time.Time) error { return closed(c.file.SetWriteDeadline(t)) }

// closed turns the error of a closed file into that of a closed connection.
func closed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return net.ErrClosed
	}
	return err
}
