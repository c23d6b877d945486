package ctest

import (
	"bufio"
	"context"
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

	"github.com/secgear/secgear/sdk/enclavetest"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/rendezvous"
)

// loadWith starts the enclave of the tests with another manifest.
func loadWith(t *testing.T, change func(*image.Manifest)) (*host.Enclave, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	m := image.DefaultManifest("c-test")
	m.Attach = []string{"owner"}
	change(&m)
	e := enclavetest.Start(t, nil, enclavetest.Sandboxed(), enclavetest.WithPackage("testdata/enclave"),
		enclavetest.WithManifest(m), enclavetest.WithOptions(func(o *host.Options) { o.Socket = path }))
	return e, path
}

// TestLaneOutlivesNothing: a process that says it has done, but keeps the lane, has
// it no longer. Otherwise it would have lanes that nobody counts, and the next one
// that is promised a lane would have none.
func TestLaneOutlivesNothing(t *testing.T) {
	for name, leave := range map[string]func(*net.UnixConn) error{
		"closes":   func(c *net.UnixConn) error { return c.Close() },
		"says so":  func(c *net.UnixConn) error { _, err := c.Write([]byte{1}); return err },
		"shuts up": func(c *net.UnixConn) error { return c.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			owner, path := loadWith(t, func(m *image.Manifest) { m.Lanes = 3 })
			for range 5 {
				_, lane, conn, err := rendezvous.Attach(t.Context(), path, rendezvous.AttachRequest{Memory: 1 << 20})
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				defer lane.Release()
				defer lane.Bell.Close()
				if err := leave(conn); err != nil {
					t.Fatal(err)
				}
				lane.Bell.SetReadDeadline(time.Now().Add(patience))
				if n, err := io.Copy(io.Discard, lane.Bell); err != nil {
					t.Fatalf("the lane goes on: %d bytes, %v", n, err)
				}
				waitFor(t, func() bool { return owner.Stats().Lanes == 1 })
			}
			e := attach(t, path)
			if out, err := do(t.Context(), e, 0, "x"); err != nil || out != "x" {
				t.Errorf("the next one: %q, %v", out, err)
			}
		})
	}
}

// patience bounds what should take no time.
const patience = 20 * time.Second

// waitFor waits until something holds that another process or goroutine brings
// about.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("it did not come about")
		}
	}
}

// attach attaches until the end of the test.
func attach(t *testing.T, path string) *host.Enclave {
	t.Helper()
	e, err := host.Attach(t.Context(), path, host.Options{LaneMemory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// asGuest makes the test program an attached process: see beGuest.
const asGuest = "SECGEAR_CTEST_GUEST"

// beGuest attaches, says so, and calls and writes to streams from several
// goroutines until it is killed.
func beGuest(path string) {
	e, err := host.Attach(context.Background(), path, host.Options{LaneMemory: 1 << 20})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("attached")
	failed := make(chan error)
	for i := range 6 {
		go func() {
			for {
				in := strings.Repeat("x", 1+i*i*1000)
				if _, err := do(context.Background(), e, uint16(2*(i%2)), in); err != nil {
					failed <- err
				}
			}
		}()
		go func() {
			c, err := e.Dial(context.Background(), "echo")
			if err != nil {
				failed <- err
				return
			}
			go io.Copy(io.Discard, c)
			for err == nil {
				_, err = c.Write(make([]byte, 1+i*20000))
			}
			failed <- err
		}()
	}
	fmt.Println(<-failed)
	os.Exit(1)
}

// startGuest starts the test program as a guest and returns when it has attached.
func startGuest(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), asGuest+"="+path)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "attached\n" {
		t.Fatalf("it said %q, %v", line, err)
	}
	return cmd
}

// TestKillGo: kill -9 of attached Go processes in the middle of calls and streams.
// The owner and another process go on, and nothing of the dead is left.
func TestKillGo(t *testing.T) {
	owner, path := load(t)
	steady := attach(t, path)
	files := descriptors(t)
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	for i := range rounds {
		cmd := startGuest(t, path)
		time.Sleep(time.Duration(i*i) * 700 * time.Microsecond) // the moment of the kill
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
			t.Fatalf("it ended by itself: %v", err)
		}
		for _, e := range []*host.Enclave{owner, steady} {
			if out, err := do(t.Context(), e, 0, "x"); err != nil || out != "x" {
				t.Fatalf("%q, %v", out, err)
			}
		}
	}
	waitFor(t, func() bool { return owner.Stats().Lanes == 2 })
	waitFor(t, func() bool {
		in, err := owner.Inside(t.Context())
		return err == nil && in.Streams == 0 && in.Lanes == 2
	})
	waitFor(t, func() bool { return descriptors(t) <= files })
}

// TestKillMany: a thousand attachments, each killed after its first calls, in Go and
// C at a time; the next one always gets a lane.
func TestKillMany(t *testing.T) {
	owner, path := load(t)
	program := build(t, "-O2")
	children := 40
	if testing.Short() {
		children = 4
	}
	guest := startGuest(t, path) // a Go process is there all the time
	defer guest.Wait()
	defer guest.Process.Kill()
	run(t, program, "prefork", path, fmt.Sprint(children*20)) // kills as many children with lanes of their own
	waitFor(t, func() bool { return owner.Stats().Lanes == 2 })
	if out, err := do(t.Context(), owner, 0, "x"); err != nil || out != "x" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestDribble: an owner that answers a byte at a time, for ever, holds up neither
// library for longer than it takes to notice. The C library blocks signals
// meanwhile, and forks.
func TestDribble(t *testing.T) {
	program := build(t, "-O2")
	head := rendezvous.AppendFrame(nil, rendezvous.KindResult, make([]byte, 1<<20))
	path := pretend(t, func(r *rendezvous.Request) {
		if r.Settle() != nil {
			return
		}
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for _, b := range head {
			if _, err := r.Conn.Write([]byte{b}); err != nil {
				return
			}
			<-tick.C
		}
	})
	begin := time.Now()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if e, err := host.Attach(t.Context(), path, host.Options{}); err == nil {
			e.Close()
			t.Error("attached")
		}
	}()
	if out := run(t, program, "attach", path); !strings.Contains(out, "longer than it may") {
		t.Errorf("C: %s", out)
	}
	<-ended
	if d := time.Since(begin); d > 3*rendezvous.Patience {
		t.Errorf("it took %v", d)
	}
}

// TestShares: no user has more lanes than are left for the others, unless the
// manifest knows only one.
func TestShares(t *testing.T) {
	for _, test := range []struct {
		attach []string
		want   int
	}{
		{[]string{"owner"}, 7},
		{[]string{fmt.Sprintf("uid:%d", os.Getuid())}, 7},
		{[]string{"owner", "uid:4711"}, 4},
		{[]string{fmt.Sprintf("gid:%d", os.Getgid())}, 4},
	} {
		t.Run(strings.Join(test.attach, " "), func(t *testing.T) {
			_, path := loadWith(t, func(m *image.Manifest) { m.Lanes, m.Attach = 8, test.attach })
			for range test.want {
				attach(t, path)
			}
			if _, err := host.Attach(t.Context(), path, host.Options{}); !errors.Is(err, host.ErrAttach) || !strings.Contains(err.Error(), "no user gets more") {
				t.Errorf("one more: %v", err)
			}
			if len(test.attach) == 1 && strings.HasPrefix(test.attach[0], "gid") || len(test.attach) > 1 {
				another(t, path, test.attach)
			}
		})
	}
}

// another has a C program of another user attach, who is to find room.
func another(t *testing.T, path string, list []string) {
	if os.Geteuid() != 0 {
		t.Skip("to be another user, the test must run as root")
	}
	program, err := os.Open(build(t, "-O2"))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if err := folder.Chmod(0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/fd/3", "attach", "/proc/self/fd/4/s")
	cmd.ExtraFiles = []*os.File{program, folder}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4711, Gid: uint32(os.Getgid())}}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "success\nok\n" {
		t.Errorf("another user of %v: %q, %v", list, out, err)
	}
}
