package rendezvous

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// inDir makes Dir a new folder.
func inDir(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "run")
	t.Setenv(EnvDir, dir)
	return dir
}

// listen serves cfg until the test is over.
func listen(t *testing.T, cfg Config) *Server {
	t.Helper()
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	s, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestDir(t *testing.T) {
	t.Run("made", func(t *testing.T) {
		want := inDir(t)
		got, err := Dir()
		if err != nil || got != want {
			t.Fatalf("got %s, %v", got, err)
		}
		if info, err := os.Stat(got); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	})
	t.Run("in the runtime folder", func(t *testing.T) {
		dir := t.TempDir()
		t.Setenv(EnvDir, "")
		t.Setenv("XDG_RUNTIME_DIR", dir)
		if got, err := Dir(); err != nil || got != filepath.Join(dir, "secgear") {
			t.Errorf("got %s, %v", got, err)
		}
	})
	for name, spoil := range map[string]func(dir string) error{
		"a link":           func(dir string) error { return os.Symlink(filepath.Dir(dir), dir) },
		"a file":           func(dir string) error { return os.WriteFile(dir, nil, 0o700) },
		"writable by all":  func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777)) },
		"of somebody else": func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, 4711, 4711)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := inDir(t)
			if err := spoil(dir); errors.Is(err, os.ErrPermission) {
				t.Skip("needs root:", err)
			} else if err != nil {
				t.Fatal(err)
			}
			if got, err := Dir(); err == nil {
				t.Errorf("got %s", got)
			}
		})
	}
}

// The folder goes with its last socket, as nothing else is left of an enclave.
func TestFolderGoes(t *testing.T) {
	dir := inDir(t)
	cfg := Config{Name: "a", Log: slog.New(slog.DiscardHandler)}
	for range 2 {
		a, b := listen(t, cfg), listen(t, cfg)
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(b.Path()); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("the folder is still there: %v", err)
		}
	}
}

func TestStatus(t *testing.T) {
	inDir(t)
	type doc struct{ Calls int }
	s := listen(t, Config{Name: "my-demo", Status: func() any { return doc{7} }})
	path, err := Find(t.Context(), "my-demo")
	if err != nil || path != s.Path() {
		t.Fatalf("found %s, %v; want %s", path, err, s.Path())
	}
	b, err := Ask(t.Context(), path, KindStatus, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got doc
	if err := json.Unmarshal(b, &got); err != nil || got.Calls != 7 {
		t.Errorf("status %s, %v", b, err)
	}
	_, err = Ask(t.Context(), path, 77, nil)
	var refused *Refused
	if !errors.As(err, &refused) || refused.Code != CodeUnsupported || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("an unknown kind: %v", err)
	}
}

func TestList(t *testing.T) {
	dir := inDir(t)
	one := listen(t, Config{Name: "one"})
	again := listen(t, Config{Name: "one"})
	other := listen(t, Config{Name: strings.Repeat("x", 64)}) // longer than an address may be

	// What a process that was killed leaves.
	stale := filepath.Join(dir, "dead-1-1.sock")
	if err := leave(stale); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "README"), nil, 0o600); err != nil {
		t.Fatal(err)
	}

	list, err := List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, e := range list {
		paths = append(paths, e.Path)
	}
	want := []string{one.Path(), again.Path(), other.Path()}
	if strings.Join(paths, " ") != strings.Join(want, " ") {
		t.Errorf("listed %q, want %q", paths, want)
	}
	if _, err := os.Lstat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dead socket is still there: %v", err)
	}
	if _, err := Find(t.Context(), "one"); err == nil {
		t.Error("found one of two")
	}
	if _, err := Find(t.Context(), "two"); !errors.Is(err, ErrNotFound) {
		t.Errorf("found what does not run: %v", err)
	}
	if got, err := Find(t.Context(), strings.TrimSuffix(filepath.Base(one.Path()), ".sock")); err != nil || got != one.Path() {
		t.Errorf("found %s, %v", got, err)
	}
}

// leave makes a socket at path that nobody serves.
func leave(path string) error {
	short, done, err := shorten(path)
	if err != nil {
		return err
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	return l.Close()
}

func TestListenTakesOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := leave(path); err != nil {
		t.Fatal(err)
	}
	listen(t, Config{Path: path})
	if s, err := Listen(Config{Path: path}); err == nil {
		s.Close()
		t.Error("two serve one socket")
	}
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Listen(Config{Path: file}); err == nil {
		s.Close()
		t.Error("a file was replaced")
	}
}

// A user who holds connections and says nothing, or half of something, keeps
// nobody from being served once they go, and is not served beyond a number.
func TestTooMany(t *testing.T) {
	s := listen(t, Config{Path: filepath.Join(t.TempDir(), "s"), Status: func() any { return 1 }})
	var conns []*net.UnixConn
	for range maxPerUser {
		conn, err := Dial(t.Context(), s.Path())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte{byte(KindStatus), 1, 0}); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	if b, err := Ask(t.Context(), s.Path(), KindStatus, nil); err == nil {
		t.Errorf("one more was served: %s", b)
	}
	for _, conn := range conns {
		conn.Close()
	}
	for {
		if _, err := Ask(t.Context(), s.Path(), KindStatus, nil); err == nil {
			return
		}
		if t.Context().Err() != nil {
			t.Fatal("nobody is served any more")
		}
	}
}

func TestAskIsBounded(t *testing.T) {
	asked := make(chan struct{})
	s := listen(t, Config{Path: filepath.Join(t.TempDir(), "s"), Handlers: map[Kind]func(*Request){
		KindAttach: func(r *Request) {
			close(asked)
			io.Copy(io.Discard, r.Conn)
		},
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := Ask(ctx, s.Path(), KindAttach, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestFileName(t *testing.T) {
	for s, ok := range map[string]bool{
		"a-1-0.sock": true, "a-b-12-3.sock": true, "a.sock": false, "a-1.sock": false, "-1-1.sock": false,
		"a-01-1.sock": false, "a-1-+1.sock": false, "a--1-1.sock": true, "a-0-1.sock": false, "a-1-1": false,
	} {
		e, got := parseFileName(s)
		if got != ok || ok && e.fileName() != s {
			t.Errorf("%s: %v, %v", s, e, got)
		}
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(AppendFrame(nil, KindStatus, nil))
	f.Add(AppendFrame(nil, KindRefused, (&Refused{CodeFull, "full"}).Encode()))
	f.Add(AppendFrame(nil, KindAttach, make([]byte, MaxRequest+1)))
	f.Add([]byte{1, 255, 255, 255, 255})
	f.Add([]byte{2, 9, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, payload, err := ReadFrame(bytes.NewReader(b), MaxRequest)
		if err != nil {
			return
		}
		if again := AppendFrame(nil, kind, payload); !bytes.HasPrefix(b, again) {
			t.Errorf("%x was read as %d %x", b, kind, payload)
		}
		if _, err := Result(kind, payload); err == nil && kind != KindResult {
			t.Errorf("kind %d is an answer", kind)
		}
	})
}
