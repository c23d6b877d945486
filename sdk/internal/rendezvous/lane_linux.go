package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/tee"
)

// laneFiles is how many descriptors come with a lane.
const laneFiles = 2

// AnswerAttached sends the result with the lane's descriptors, which stay the
// caller's.
func (r *Request) AnswerAttached(a Attached, mem, bell *os.File) error {
	frame := AppendFrame(nil, KindResult, a.Encode())
	rights := unix.UnixRights(int(mem.Fd()), int(bell.Fd()))
	n, _, err := r.Conn.WriteMsgUnix(frame[:frameHeader], rights, nil)
	if err == nil {
		_, err = r.Conn.Write(frame[n:])
	}
	return err
}

// Attach asks the process that serves the socket at path for a lane, and
// returns it with the connection, which is to stay open as long as the lane is
// in use. The error may be a [*Refused].
func Attach(ctx context.Context, path string, ask AttachRequest) (Attached, *tee.Lane, *net.UnixConn, error) {
	conn, err := Dial(ctx, path)
	if err != nil {
		return Attached{}, nil, nil, err
	}
	a, lane, err := attachWithin(ctx, conn, ask)
	if err != nil {
		conn.Close()
		return Attached{}, nil, nil, fmt.Errorf("asking %s: %w", path, err)
	}
	return a, lane, conn, nil
}

// attachWithin is attach, bounded by ctx and in time.
func attachWithin(ctx context.Context, conn *net.UnixConn, ask AttachRequest) (Attached, *tee.Lane, error) {
	if err := conn.SetDeadline(time.Now().Add(2 * Patience)); err != nil {
		return Attached{}, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	a, lane, err := attach(conn, ask)
	if !stop() {
		err = context.Cause(ctx)
	} else if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil && lane != nil {
		lane.Bell.Close()
		lane.Release()
	}
	return a, lane, err
}

func attach(conn *net.UnixConn, ask AttachRequest) (a Attached, lane *tee.Lane, err error) {
	if _, err := conn.Write(AppendFrame(nil, KindAttach, ask.Encode())); err != nil {
		return a, nil, err
	}
	in := &filesReader{conn: conn}
	defer in.close()
	payload, err := ReadResult(in)
	if err != nil {
		return a, nil, err
	}
	if a, err = ParseAttached(payload); err != nil {
		return a, nil, err
	}
	if len(in.files) != laneFiles {
		return a, nil, fmt.Errorf("%w: %d descriptors instead of %d", ErrProtocol, len(in.files), laneFiles)
	}
	lane, err = newLane(in.files[0], in.files[1], a.Memory)
	return a, lane, err
}

// filesReader reads a stream and keeps the descriptors that come with it.
type filesReader struct {
	conn  *net.UnixConn
	files []*os.File
}

func (r *filesReader) Read(b []byte) (int, error) {
	oob := make([]byte, unix.CmsgSpace(4*laneFiles))
	n, noob, flags, _, err := r.conn.ReadMsgUnix(b, oob)
	if got := r.keep(oob[:max(noob, 0)]); err == nil {
		err = got
	}
	switch {
	case err != nil:
		return 0, err
	case flags&unix.MSG_CTRUNC != 0 || len(r.files) > laneFiles:
		return 0, fmt.Errorf("%w: too many descriptors", ErrProtocol)
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// keep takes over the descriptors in a control message.
func (r *filesReader) keep(oob []byte) error {
	controls, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	for _, c := range controls {
		fds, e := unix.ParseUnixRights(&c)
		if e != nil {
			err = fmt.Errorf("%w: %w", ErrProtocol, e)
		}
		for _, fd := range fds {
			r.files = append(r.files, os.NewFile(uintptr(fd), "lane"))
		}
	}
	return err
}

func (r *filesReader) close() {
	for _, f := range r.files {
		f.Close()
	}
}

// newLane makes the host's end of a lane of its descriptors, which stay the
// caller's. They may be anything.
func newLane(mem, bell *os.File, size uint64) (*tee.Lane, error) {
	conn, err := net.FileConn(bell)
	if err != nil {
		return nil, fmt.Errorf("lane bell: %w", err)
	}
	if _, ok := conn.(*net.UnixConn); !ok {
		conn.Close()
		return nil, fmt.Errorf("%w: the lane's bell is a %T", ErrProtocol, conn)
	}
	b, err := mapMemory(int(mem.Fd()), size)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("lane memory: %w", err)
	}
	release := sync.OnceFunc(func() { _ = syscall.Munmap(b) }) // it was mapped so
	return &tee.Lane{Mem: b, Bell: conn, Futex: true, Release: release}, nil
}

// mapMemory maps the memory file fd if it has size bytes for ever: touching it
// must never fault.
func mapMemory(fd int, size uint64) ([]byte, error) {
	if size == 0 || size > math.MaxInt {
		return nil, fmt.Errorf("%w: %d bytes", ErrProtocol, size)
	}
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: not a memory file", ErrProtocol), err)
	}
	if both := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW; seals&both != both {
		return nil, fmt.Errorf("%w: its size is not sealed", ErrProtocol)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return nil, err
	}
	if fs.Type != unix.TMPFS_MAGIC { // huge pages may run out under a mapping
		return nil, fmt.Errorf("%w: not ordinary memory", ErrProtocol)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Size < 0 || uint64(st.Size) < size { // a TEE may have more of it than a lane needs
		return nil, fmt.Errorf("%w: %d bytes instead of %d", ErrProtocol, st.Size, size)
	}
	return unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}
