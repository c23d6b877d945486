package sandboxed

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/sandbox/wire"
	"github.com/secgear/secgear/sdk/tee"
)

// host is the other end of a platform under test, as hostile as a test wants.
type host struct {
	t      *testing.T
	socket int
	files  int // open descriptors before anything was sent
}

var testID = tee.Identity{
	Digest:   image.Digest{1},
	Manifest: image.Manifest{Name: "test", Lanes: 2, LaneMemory: 1 << 20, Memory: 1 << 20},
}

// startWith starts a platform that gets greeting and files as the first packet.
func startWith(t *testing.T, greeting []byte, files ...int) (*platform, *host, error) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	control, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range []int{pair[0], control[0]} {
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	timeout := unix.Timeval{Sec: 20}
	if err := unix.SetsockoptTimeval(pair[1], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, socket: pair[1]}
	t.Cleanup(func() { unix.Close(h.socket); unix.Close(control[1]) })
	h.send(greeting, files...)
	p, err := start("test", pair[0], control[0])
	if err == nil {
		t.Cleanup(func() {
			unix.Shutdown(h.socket, unix.SHUT_RDWR)
			<-p.gone
			p.control.Close()
		})
	}
	h.files = openFiles(t)
	return p, h, err
}

// newPair starts a platform and has it greeted.
func newPair(t *testing.T) (*platform, *host) {
	t.Helper()
	hello, err := wire.Hello(testID)
	if err != nil {
		t.Fatal(err)
	}
	p, h, err := startWith(t, hello)
	if err != nil {
		t.Fatal(err)
	}
	if ready := h.receive(); wire.Kind(ready[0]) != wire.KindReady {
		t.Fatalf("greeted with %q", ready)
	}
	return p, h
}

func (h *host) send(message []byte, files ...int) {
	h.t.Helper()
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	if err := unix.Sendmsg(h.socket, message, rights, nil, 0); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) receive() []byte {
	h.t.Helper()
	b := make([]byte, wire.MaxMessage)
	n, err := unix.Read(h.socket, b)
	if err != nil {
		h.t.Fatal(err)
	}
	return b[:n]
}

// laneReply receives the answer to a lane.
func (h *host) laneReply(id uint32) error {
	h.t.Helper()
	m := h.receive()
	if wire.Kind(m[0]) != wire.KindLaneReply {
		h.t.Fatalf("message %d", m[0])
	}
	got, result, err := wire.ParseLaneReply(m[1:])
	if err != nil || got != id {
		h.t.Fatalf("lane %d, %v", got, err)
	}
	return result
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// memory returns a memory file.
func memory(t *testing.T, size int64, seals int) int {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err == nil {
		err = unix.Ftruncate(fd, size)
	}
	if err == nil && seals != 0 {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// stream returns one end of a pair of stream sockets.
func stream(t *testing.T, flags int) int {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|flags, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	return pair[0]
}

const sealed = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW

func TestNotLaunched(t *testing.T) {
	for _, launchedBy := range []string{"", "other"} {
		t.Setenv(wire.Env, launchedBy)
		p, ok, err := Start("test")
		if p != nil || ok || err != nil {
			t.Errorf("launched by %q: %v, %v, %v", launchedBy, p, ok, err)
		}
	}
}

func TestGreetingRefused(t *testing.T) {
	hello, err := wire.Hello(testID)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		greeting []byte
		files    func() []int
	}{
		"another message":  {greeting: wire.Lane(1, 4096)},
		"cut":              {greeting: hello[:40]},
		"no manifest":      {greeting: hello[:65]},
		"cut manifest":     {greeting: hello[:len(hello)-1]},
		"more after it":    {greeting: append(append([]byte(nil), hello...), '{')},
		"too long":         {greeting: append(append([]byte(nil), hello...), make([]byte, wire.MaxMessage)...)},
		"with descriptors": {greeting: hello, files: func() []int { return []int{stream(t, 0)} }},
	} {
		t.Run(name, func(t *testing.T) {
			var files []int
			if tt.files != nil {
				files = tt.files()
			}
			before := openFiles(t)
			p, _, err := startWith(t, tt.greeting, files...)
			if !errors.Is(err, wire.ErrFormat) || p != nil {
				t.Errorf("%v, %v", p, err)
			}
			if n := openFiles(t); n != before+2 { // the host's ends
				t.Errorf("%d descriptors instead of %d", n, before+2)
			}
		})
	}
}

func TestBlockingSocketRefused(t *testing.T) {
	if _, err := openSocket(stream(t, 0)); err == nil || !strings.Contains(err.Error(), "blocks") {
		t.Errorf("error: %v", err)
	}
}

// TestLanesRefused: a lane that could make the enclave fault, or is none, is
// refused, its descriptors are closed, and the next lane works.
func TestLanesRefused(t *testing.T) {
	const size = 64 << 10
	good := func() []int { return []int{memory(t, size, sealed), stream(t, unix.SOCK_NONBLOCK)} }
	for name, tt := range map[string]struct {
		size  uint64
		files []int
	}{
		"no descriptors":         {size, nil},
		"one descriptor":         {size, good()[:1]},
		"the wrong way round":    {size, []int{good()[1], good()[0]}},
		"no size":                {0, good()},
		"smaller than it says":   {2 * size, good()},
		"larger than it says":    {size / 2, good()},
		"a size beyond int":      {1 << 63, good()},
		"more than the manifest": {2 << 20, []int{memory(t, 2<<20, sealed), stream(t, unix.SOCK_NONBLOCK)}},
		"unsealed":               {size, []int{memory(t, size, 0), stream(t, unix.SOCK_NONBLOCK)}},
		"may shrink":             {size, []int{memory(t, size, unix.F_SEAL_GROW), stream(t, unix.SOCK_NONBLOCK)}},
		"may grow":               {size, []int{memory(t, size, unix.F_SEAL_SHRINK), stream(t, unix.SOCK_NONBLOCK)}},
		"not writable":           {size, []int{memory(t, size, sealed|unix.F_SEAL_WRITE), stream(t, unix.SOCK_NONBLOCK)}},
		"a bell that blocks":     {size, []int{memory(t, size, sealed), stream(t, 0)}},
		"a bell that is memory":  {size, []int{memory(t, size, sealed), memory(t, size, sealed)}},
	} {
		t.Run(name, func(t *testing.T) {
			p, h := newPair(t)
			h.send(wire.Lane(7, tt.size), tt.files...)
			if err := h.laneReply(7); err == nil {
				t.Error("taken")
			}
			if n := openFiles(t); n != h.files {
				t.Errorf("%d descriptors instead of %d", n, h.files)
			}
			h.send(wire.Lane(8, size), good()...)
			if err := h.laneReply(8); err != nil {
				t.Error(err)
			}
			l, err := p.AcceptLane()
			if err != nil {
				t.Fatal(err)
			}
			if len(l.Mem) != size {
				t.Errorf("%d bytes", len(l.Mem))
			}
			l.Bell.Close()
			l.Release()
			l.Release()
		})
	}
}

// TestLanesAreBounded: a host that opens lanes without end costs only what the
// manifest allows.
func TestLanesAreBounded(t *testing.T) {
	p, h := newPair(t)
	const most = 2 + spareLanes
	for i := range uint32(most + 8) {
		h.send(wire.Lane(i, 4096), memory(t, 4096, sealed), stream(t, unix.SOCK_NONBLOCK))
		if err := h.laneReply(i); (err == nil) != (i < most) {
			t.Errorf("lane %d: %v", i, err)
		}
	}
	for range most {
		l, err := p.AcceptLane()
		if err != nil {
			t.Fatal(err)
		}
		l.Bell.Close()
		l.Release()
	}
}

// TestBrokenRules: a host that does not keep to the rules is as one that is
// gone; whoever waits is told.
func TestBrokenRules(t *testing.T) {
	for name, tt := range map[string]struct {
		message []byte
		files   int
	}{
		"unknown message":       {[]byte{99}, 0},
		"another greeting":      {[]byte{byte(wire.KindHello)}, 0},
		"cut lane":              {[]byte{byte(wire.KindLane), 1}, 2},
		"too long":              {make([]byte, wire.MaxMessage+1), 0},
		"three descriptors":     {wire.Lane(1, 4096), 3},
		"many descriptors":      {wire.Lane(1, 4096), 200},
		"reply with descriptor": {wire.Reply(nil, nil), 1},
	} {
		t.Run(name, func(t *testing.T) {
			p, h := newPair(t)
			var files []int
			for range tt.files {
				files = append(files, stream(t, 0))
			}
			h.files = openFiles(t)
			h.send(tt.message, files...)
			if _, err := p.AcceptLane(); !errors.Is(err, tee.ErrLost) {
				t.Errorf("AcceptLane: %v", err)
			}
			if _, err := p.Increment("a"); !errors.Is(err, tee.ErrLost) {
				t.Errorf("Increment: %v", err)
			}
			if n := openFiles(t); n > h.files {
				t.Errorf("%d descriptors instead of %d", n, h.files)
			}
		})
	}
}

// TestReplies: an answer of the wrong form is an error, and never data.
func TestReplies(t *testing.T) {
	p, h := newPair(t)
	for name, reply := range map[string][]byte{
		"nothing":      {byte(wire.KindReply)},
		"no number":    wire.Reply(nil, nil),
		"a key":        wire.Reply(make([]byte, 32), nil),
		"unknown code": {byte(wire.KindReply), 9},
		"an error":     wire.Reply(nil, io.ErrUnexpectedEOF),
	} {
		go func() {
			h.receive()
			h.send(reply)
		}()
		if v, err := p.Counter("a"); err == nil || v != 0 {
			t.Errorf("%s: %d, %v", name, v, err)
		}
	}
	go func() { h.receive(); h.send(wire.Reply(make([]byte, 31), nil)) }()
	if key, err := p.SealingKey(tee.PolicyImage, 1, [32]byte{}); err == nil || key != [32]byte{} {
		t.Errorf("a short key: %x, %v", key, err)
	}
	go func() { h.receive(); h.send(wire.Reply(nil, errors.ErrUnsupported)) }()
	if _, err := p.Evidence([64]byte{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("unsupported: %v", err)
	}
	go func() { h.receive(); h.send(wire.Reply(wire.Value(7), nil)) }()
	if v, err := p.Counter("a"); err != nil || v != 7 {
		t.Errorf("after all that: %d, %v", v, err)
	}
}

// TestReplyToNothing: an answer that nobody asked for is not taken for that to a
// later question.
func TestReplyToNothing(t *testing.T) {
	p, h := newPair(t)
	h.send(wire.Reply(wire.Value(7), nil))
	// A lane after it, to know that it has arrived.
	h.send(wire.Lane(1, 4096), memory(t, 4096, sealed), stream(t, unix.SOCK_NONBLOCK))
	if err := h.laneReply(1); err != nil {
		t.Fatal(err)
	}
	if v, err := p.Counter("a"); !errors.Is(err, wire.ErrFormat) {
		t.Errorf("%d, %v", v, err)
	}
	l, err := p.AcceptLane()
	if err != nil {
		t.Fatal(err)
	}
	l.Bell.Close()
	l.Release()
}

// TestHostGone: everyone who waits for the host gets to know.
func TestHostGone(t *testing.T) {
	p, h := newPair(t)
	errs := make(chan error, 2)
	go func() {
		_, err := p.AcceptLane()
		errs <- err
	}()
	go func() {
		_, err := p.Increment("a")
		errs <- err
	}()
	h.receive() // the request is under way
	unix.Shutdown(h.socket, unix.SHUT_RDWR)
	for range 2 {
		if err := <-errs; !errors.Is(err, tee.ErrLost) {
			t.Error(err)
		}
	}
}

// TestConn: a connection behaves as one of package net.
func TestConn(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, err := newConn(pair[0], "a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := newConn(pair[1], "b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	if n, err := b.Read(buf); err != nil || string(buf[:n]) != "hello" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if err := b.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past the deadline: %v", err)
	}
	if err := b.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := b.Read(buf)
		done <- err
	}()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != io.EOF {
		t.Errorf("after the other end: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if _, err := b.Read(buf); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("after Close: %v", err)
	}
	if a.LocalAddr() == nil || a.RemoteAddr().String() == "" {
		t.Error("no address")
	}
}
