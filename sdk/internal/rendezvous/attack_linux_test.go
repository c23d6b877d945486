package rendezvous

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestReplaced: the path of a socket has become somebody else's while it was
// served. Its server leaves that alone when it closes.
func TestReplaced(t *testing.T) {
	t.Run("by another owner", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		first := listen(t, Config{Path: path})
		if err := os.Remove(path); err != nil { // an operator tidies up
			t.Fatal(err)
		}
		second := listen(t, Config{Path: path, Status: func() any { return 2 }})
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		if b, err := Ask(t.Context(), second.Path(), KindStatus, nil); err != nil || string(b) != "2" {
			t.Errorf("the second owner: %s, %v", b, err)
		}
	})
	t.Run("by a file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		s := listen(t, Config{Path: path})
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if b, err := os.ReadFile(path); string(b) != "precious" {
			t.Errorf("%q, %v", b, err)
		}
	})
	t.Run("by nothing", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		s := listen(t, Config{Path: path})
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestSymlink: a link where the socket is to be is no socket that nobody serves,
// wherever it leads.
func TestSymlink(t *testing.T) {
	dir := t.TempDir()
	dead, file := filepath.Join(dir, "dead"), filepath.Join(dir, "file")
	if err := leave(dead); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{dead, file, filepath.Join(dir, "nothing")} {
		link := filepath.Join(dir, "link")
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
		if s, err := Listen(Config{Path: link}); err == nil {
			s.Close()
			t.Errorf("a link to %s was replaced", to)
		}
		if err := os.Remove(link); err != nil {
			t.Error(err)
		}
	}
}

// TestModeOfAnother: whoever may write in the socket's folder can't have the mode of
// something else changed.
func TestModeOfAnother(t *testing.T) {
	dir := t.TempDir()
	secret, link := filepath.Join(dir, "secret"), filepath.Join(dir, "link")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{secret, link} {
		if _, err := setMode(path, 0o666); err == nil {
			t.Errorf("the mode of %s was changed", path)
		}
	}
	if info, err := os.Stat(secret); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestBusyOwner: a socket whose owner is stopped, or has more connections waiting
// than it takes, is not one that nobody serves.
func TestBusyOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for full := false; !full; {
		conn, err := net.Dial("unix", path)
		if full = errors.Is(err, syscall.EAGAIN); err != nil && !full {
			t.Fatal(err)
		} else if !full {
			defer conn.Close()
		}
	}
	if s, err := Listen(Config{Path: path}); err == nil {
		s.Close()
		t.Error("a living owner lost its socket")
	}
	if alive, err := (Entry{Path: path}).alive(t.Context()); !alive || err != nil {
		t.Errorf("it is not listed: %v", err)
	}
}

// TestNotForUs: the socket of another user that this one may not connect to stays.
func TestNotForUs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to be another user, the test must run as root")
	}
	dir, err := os.MkdirTemp("", "sg")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil { // without the sticky bit, to be able to replace it
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	listen(t, Config{Path: path, Status: func() any { return 1 }})
	if out := asNobody(t, "^TestListenAsNobody$", path); !strings.Contains(out, "permission denied") {
		t.Error(out)
	}
	if b, err := Ask(t.Context(), path, KindStatus, nil); err != nil || string(b) != "1" {
		t.Errorf("afterwards: %s, %v", b, err)
	}
}

// asNobody runs a test of this program with path as another user, who may have no way
// to the program or to where temporary files are: it gets both as descriptors.
func asNobody(t *testing.T, test, path string) string {
	t.Helper()
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	cmd := exec.Command("/proc/self/fd/3", "-test.run="+test)
	cmd.Env = []string{atPath + "=/proc/self/fd/4/" + filepath.Base(path)}
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{self, folder}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s, %v", out, err)
	}
	return string(out)
}

// atPath names the variable with the path for asNobody's test.
const atPath = "SECGEAR_TEST_AT"

// TestStatusIsOurs: a user who may connect, to attach, is not told the enclave's
// status.
func TestStatusIsOurs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to be another user, the test must run as root")
	}
	dir, err := os.MkdirTemp("", "sg")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := listen(t, Config{Path: filepath.Join(dir, "s"), Anybody: true, Status: func() any { return "secret" }})
	if out := asNobody(t, "^TestAskAsNobody$", s.Path()); strings.Contains(out, "secret") || !strings.Contains(out, "for its owner's user and root") {
		t.Error(out)
	}
}

// TestAskAsNobody is the other user of TestStatusIsOurs.
func TestAskAsNobody(t *testing.T) {
	path := os.Getenv(atPath)
	if path == "" {
		t.Skip("part of TestStatusIsOurs")
	}
	b, err := Ask(t.Context(), path, KindStatus, nil)
	fmt.Printf("%s, %v\n", b, err)
}

// TestListenAsNobody is the other user of TestNotForUs.
func TestListenAsNobody(t *testing.T) {
	path := os.Getenv(atPath)
	if path == "" {
		t.Skip("part of TestNotForUs")
	}
	s, err := Listen(Config{Path: path})
	if err == nil {
		s.Close()
		t.Error("the socket was taken from its owner")
	}
	fmt.Println(err)
}

// TestUnfinished: a process that was killed while it made its socket leaves it under
// another name; it goes with the next look, while one that is being made stays.
func TestUnfinished(t *testing.T) {
	dir := inDir(t)
	keep := listen(t, Config{Name: "a"})
	old, young, alive := filepath.Join(dir, unfinished+"1-1"), filepath.Join(dir, unfinished+"1-2"), filepath.Join(dir, unfinished+"1-3")
	for _, path := range []string{old, young} {
		if err := leave(path); err != nil {
			t.Fatal(err)
		}
	}
	listen(t, Config{Path: alive})
	long := time.Now().Add(-2 * makingTime)
	for _, path := range []string{old, alive} {
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := List(t.Context()); err != nil || len(list) != 1 || list[0].Path != keep.Path() {
		t.Errorf("%v, %v", list, err)
	}
	for path, stays := range map[string]bool{old: false, young: true, alive: true} {
		if _, err := os.Lstat(path); (err == nil) != stays {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := os.Remove(young); err != nil {
		t.Error(err)
	}
}

// TestCutFrames: connections that end at each byte of a request, or stop there, keep
// nobody from an answer.
func TestCutFrames(t *testing.T) {
	s := listen(t, Config{Path: filepath.Join(t.TempDir(), "s"), Status: func() any { return 1 }, Handlers: map[Kind]func(*Request){
		KindAttach: func(r *Request) { io.Copy(io.Discard, r.Conn) },
	}})
	frame := AppendFrame(nil, KindAttach, AttachRequest{Memory: 1 << 20}.Encode())
	for i := range 10 * len(frame) {
		conn, err := Dial(t.Context(), s.Path())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(frame[:i%len(frame)]); err != nil && !errors.Is(err, syscall.EPIPE) {
			t.Fatal(err)
		}
		if i%8 != 0 {
			conn.Close()
			continue
		}
		defer conn.Close() // says no more
	}
	for { // until it has noticed which have gone
		b, err := Ask(t.Context(), s.Path(), KindStatus, nil)
		if err == nil && string(b) == "1" {
			return
		}
		if t.Context().Err() != nil {
			t.Fatalf("%s, %v", b, err)
		}
	}
}

// TestCrowd: as many connections of other users as are served keep the owner's user
// and root from nothing.
func TestCrowd(t *testing.T) {
	own := uint32(os.Geteuid())
	s := &Server{closing: make(chan struct{}), conns: make(map[*net.UnixConn]struct{}), perUser: make(map[uint32]int)}
	for uid := range uint32(2 * maxUnsettled / maxPerUser) {
		for range maxPerUser {
			s.admit(new(net.UnixConn), own+1000+uid)
		}
	}
	if s.unsettled != maxUnsettled {
		t.Errorf("%d are served, want %d", s.unsettled, maxUnsettled)
	}
	for _, uid := range []uint32{own, 0} {
		if !s.admit(new(net.UnixConn), uid) {
			t.Errorf("user %d is shut out", uid)
		}
	}
	for range maxPerUser {
		s.admit(new(net.UnixConn), own)
	}
	if n := s.perUser[own]; n != maxPerUser {
		t.Errorf("%d of the owner's", n)
	}
}
