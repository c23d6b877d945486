package rendezvous

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Config says what a [Server] serves.
type Config struct {
	// Path is where the socket is to be, or empty: in [Dir], named after Name. A
	// socket there that nobody serves any more is replaced.
	Path string

	// Name is the enclave's.
	Name string

	// Anybody lets processes of other users connect, as far as they may reach
	// the socket's folder. Without it the socket's mode is 0600.
	Anybody bool

	// Status returns what the answer to KindStatus is made of, as JSON. Only
	// processes of this user and root's get it. It may run several times at once.
	Status func() any

	// Handlers serve the other kinds, each request on a goroutine of its own. The
	// connection ends when the handler returns.
	Handlers map[Kind]func(*Request)

	Log *slog.Logger // never nil
}

// Request is one request. It belongs to its handler until that returns.
type Request struct {
	Payload []byte // at most MaxRequest bytes, chosen by the peer
	Peer    Peer
	Conn    *net.UnixConn // its deadline has been set to Patience

	settle func()
}

// Settle lets the connection stay: it is no longer idle, nor does it count among
// those that a user may have. The handler bounds their number.
func (r *Request) Settle() error {
	r.settle()
	return r.Conn.SetDeadline(time.Time{})
}

// FromOwner tells whether the request is this user's or root's.
func (r *Request) FromOwner() bool { return owns(r.Peer.UID) }

// owns tells whether uid is this user or root.
func owns(uid uint32) bool { return uid == uint32(os.Geteuid()) || uid == 0 }

// Answer sends the result.
func (r *Request) Answer(payload []byte) error {
	_, err := r.Conn.Write(AppendFrame(nil, KindResult, payload))
	return err
}

// Refuse sends why there is no result.
func (r *Request) Refuse(code uint32, format string, args ...any) error {
	refused := &Refused{Code: code, Text: fmt.Sprintf(format, args...)}
	_, err := r.Conn.Write(AppendFrame(nil, KindRefused, refused.Encode()))
	return err
}

const (
	// maxPerUser is how many connections of one user are served at a time, those
	// that stay aside; more are closed at once.
	maxPerUser = 64
	// maxUnsettled is how many those of all users are, which keep out neither this
	// user nor root.
	maxUnsettled = 256
)

// Server answers at a socket.
type Server struct {
	cfg      Config
	path     string
	listener *net.UnixListener
	made     os.FileInfo // the socket, which somebody else's may replace
	closing  chan struct{}
	once     sync.Once
	wg       sync.WaitGroup

	mu        sync.Mutex
	conns     map[*net.UnixConn]struct{}
	perUser   map[uint32]int
	unsettled int
}

// served counts the sockets of this process.
var served atomic.Uint32

// Listen makes the socket and serves it until Close.
func Listen(cfg Config) (*Server, error) {
	path, made, l, err := cfg.bind()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, path: path, listener: l, made: made, closing: make(chan struct{}),
		conns: make(map[*net.UnixConn]struct{}), perUser: make(map[uint32]int),
	}
	s.wg.Go(s.accept)
	return s, nil
}

// bind makes the socket.
func (c Config) bind() (path string, made os.FileInfo, l *net.UnixListener, err error) {
	for range 8 {
		if path, err = c.path(); err != nil {
			return "", nil, nil, err
		}
		if made, l, err = bind(path, c.Anybody); err == nil {
			return path, made, l, nil
		}
		if c.Path != "" || !errors.Is(err, os.ErrNotExist) {
			break
		}
		// Somebody removed the folder, of which theirs was the last socket.
	}
	return "", nil, nil, fmt.Errorf("making the socket %s: %w", path, err)
}

// path is where the socket is to be.
func (c Config) path() (string, error) {
	n := int(served.Add(1))
	if c.Path != "" {
		return filepath.Abs(c.Path)
	}
	dir, err := Dir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, Entry{Name: c.Name, PID: os.Getpid(), N: n}.fileName()), nil
}

// bind listens at path. The socket gets this name when it is ready, so that
// nobody takes it for a dead one meanwhile.
func bind(path string, anybody bool) (os.FileInfo, *net.UnixListener, error) {
	if err := clear(path); err != nil {
		return nil, nil, err
	}
	making := filepath.Join(filepath.Dir(path), fmt.Sprintf("%s%d-%d", unfinished, os.Getpid(), served.Add(1)))
	if err := os.Remove(making); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	short, done, err := shorten(making)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, nil, err
	}
	l.SetUnlinkOnClose(false)
	mode := os.FileMode(0o600)
	if anybody {
		mode = 0o666
	}
	made, err := setMode(making, mode)
	if err == nil {
		err = os.Rename(making, path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, l.Close(), os.Remove(making))
	}
	return made, l, nil
}

// unfinished begins the names of sockets that are not ready.
const unfinished = ".new-"

// setMode changes the mode of the socket at path and of nothing that may have taken
// its place in a folder that is not ours alone.
func setMode(path string, mode os.FileMode) (os.FileInfo, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close() // only named
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); info.Mode().Type() != os.ModeSocket || !ok || int(st.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("somebody replaced %s", path)
	}
	return info, os.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), mode)
}

// clear refuses a path at which something else is than a socket that nobody
// serves.
func clear(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != os.ModeSocket:
		return errors.New("something else is there")
	}
	short, done, err := shorten(path)
	if err != nil {
		return err
	}
	defer done()
	conn, err := net.DialTimeout("unix", short, Patience)
	switch {
	case err == nil:
		return errors.Join(errors.New("somebody else serves it"), conn.Close())
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist):
		return nil
	}
	return fmt.Errorf("it may be somebody else's: %w", err) // too busy to answer, or not for us
}

// Path is where the socket is.
func (s *Server) Path() string { return s.path }

// Close removes the socket, ends all connections, those that stayed too, and
// waits for their handlers. It may be called again.
func (s *Server) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closing)
		err = errors.Join(s.remove(), s.listener.Close())
		if s.cfg.Path == "" {
			_ = os.Remove(filepath.Dir(s.path)) // if it is empty
		}
		s.mu.Lock()
		for conn := range s.conns {
			conn.Close()
		}
		s.mu.Unlock()
		if err != nil {
			err = fmt.Errorf("removing the socket %s: %w", s.path, err)
		}
	})
	s.wg.Wait()
	return err
}

// remove removes the socket unless its path has become somebody else's.
func (s *Server) remove() error {
	now, err := os.Lstat(s.path)
	if err == nil && os.SameFile(now, s.made) {
		err = os.Remove(s.path)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Closing is closed when Close begins.
func (s *Server) Closing() <-chan struct{} { return s.closing }

// accept serves connections until Close. When descriptors run out it tries again
// soon.
func (s *Server) accept() {
	for {
		conn, err := s.listener.AcceptUnix()
		if err == nil {
			s.welcome(conn)
			continue
		}
		select {
		case <-s.closing:
			return
		case <-time.After(50 * time.Millisecond):
			s.cfg.Log.Debug("accepting a connection", "socket", s.path, "err", err)
		}
	}
}

// welcome has conn served if its user has not too many.
func (s *Server) welcome(conn *net.UnixConn) {
	peer, err := peerOf(conn)
	if err == nil && s.admit(conn, peer.UID) {
		s.wg.Go(func() { s.serve(conn, peer) })
		return
	}
	conn.Close()
}

// admit counts a connection of user uid, or refuses it.
func (s *Server) admit(conn *net.UnixConn, uid uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closing:
		return false
	default:
	}
	if s.perUser[uid] >= maxPerUser || s.unsettled >= maxUnsettled && !owns(uid) {
		return false
	}
	s.perUser[uid]++
	s.unsettled++
	s.conns[conn] = struct{}{}
	return true
}

// settle takes a connection of user uid off the count.
func (s *Server) settle(uid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsettled--
	if s.perUser[uid]--; s.perUser[uid] == 0 {
		delete(s.perUser, uid)
	}
}

// serve reads a request and has it answered.
func (s *Server) serve(conn *net.UnixConn, peer Peer) {
	settle := sync.OnceFunc(func() { s.settle(peer.UID) })
	defer func() {
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
		conn.Close()
		settle()
	}()
	if conn.SetDeadline(time.Now().Add(Patience)) != nil {
		return
	}
	kind, payload, err := ReadFrame(conn, MaxRequest)
	if err != nil {
		return // whoever only looks whether we are alive sends nothing
	}
	r := &Request{Payload: payload, Peer: peer, Conn: conn, settle: settle}
	if err := s.answer(kind, r); err != nil {
		s.cfg.Log.Debug("answering", "socket", s.path, "kind", kind, "peer", peer, "err", err)
	}
}

// answer serves one request.
func (s *Server) answer(kind Kind, r *Request) error {
	if h := s.cfg.Handlers[kind]; h != nil {
		h(r)
		return nil
	}
	if kind != KindStatus || s.cfg.Status == nil {
		return r.Refuse(CodeUnsupported, "requests of kind %d are not served here", kind)
	}
	if !r.FromOwner() {
		return r.Refuse(CodeDenied, "the enclave's status is for its owner's user and root")
	}
	doc, err := json.Marshal(s.cfg.Status())
	if err == nil && len(doc) > MaxResult {
		err = fmt.Errorf("it is %d bytes long", len(doc))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("encoding the status: %w", err), r.Refuse(CodeFailed, "the status can't be told"))
	}
	return r.Answer(doc)
}
