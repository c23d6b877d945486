package ctest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/enclavetest"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/image"
	imagebuild "github.com/secgear/secgear/sdk/image/build"
	"github.com/secgear/secgear/sdk/image/imagefile"
	"github.com/secgear/secgear/sdk/internal/rendezvous"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/all"
	"github.com/secgear/secgear/sdk/tee/sim"
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

// asGuest makes the test program an attached process: see beGuest. With asHog it
// makes calls with large answers only.
const (
	asGuest = "SECGEAR_CTEST_GUEST"
	asHog   = "SECGEAR_CTEST_HOG"
	asOwner = "SECGEAR_CTEST_OWNER" // the image to load; asGuest is the socket
)

// beGuest attaches, says so, and calls and writes to streams from several
// goroutines until it is killed.
func beGuest(path string) {
	if img := os.Getenv(asOwner); img != "" {
		beOwner(img, path)
	}
	e, err := host.Attach(context.Background(), path, host.Options{LaneMemory: 1 << 20})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("attached")
	failed := make(chan error)
	for i := range 6 {
		if os.Getenv(asHog) != "" {
			go func() {
				for { // an answer takes a third of the arena
					if _, err := do(context.Background(), e, 5, strings.Repeat("x", 160)); err != nil {
						failed <- err
					}
				}
			}()
			continue
		}
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

// beOwner loads an image and waits to be killed.
func beOwner(img, path string) {
	state, err := os.MkdirTemp(filepath.Dir(path), "state")
	if err == nil {
		_, err = host.Load(context.Background(), img, host.Options{Backends: all.Backends(), Socket: path, StateDir: state})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("attached")
	select {}
}

// TestKillOwner: kill -9 of the owner ends the calls of processes that attached, in
// Go and C, at once; another owner takes the path over.
func TestKillOwner(t *testing.T) {
	program := build(t, "-O2")
	dir := t.TempDir()
	path, img := filepath.Join(dir, "s"), filepath.Join(dir, "c-test.sgi")
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := imagebuild.Image(t.Context(), imagebuild.Options{Dir: "testdata/enclave"})
	if err == nil {
		raw, err = imagefile.Sign(raw, key)
	}
	if err == nil {
		err = os.WriteFile(img, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if s := (sim.Backend{}).Probe(); !s.Available {
		t.Skipf("no enclaves here: %+v", s.Missing)
	}
	for range 3 {
		owner := startGuest(t, path, asOwner+"="+img)
		e := attach(t, path)
		c := exec.CommandContext(t.Context(), program, "until-lost", path)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		said := bufio.NewReader(out)
		if line, err := said.ReadString('\n'); line != "attached\n" {
			t.Fatalf("C said %q, %v", line, err)
		}
		inFlight := make(chan error)
		go func() {
			_, err := do(context.Background(), e, 1, "x")
			inFlight <- err
		}()
		if err := owner.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		killed := time.Now()
		owner.Wait()
		if err := <-inFlight; !errors.Is(err, tee.ErrLost) {
			t.Errorf("a call in flight: %v", err)
		}
		if line, _ := said.ReadString('\n'); line != "ok\n" {
			t.Errorf("C said %q", line)
		}
		if d := time.Since(killed); d > 5*time.Second {
			t.Errorf("it took %v to notice", d)
		}
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("the socket: %v", err) // which the next owner takes over
		}
	}
}

// startGuest starts the test program as a guest and returns when it has attached.
func startGuest(t *testing.T, path string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), append(env, asGuest+"="+path)...)
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

// TestKillMany: hundreds of attached C processes are killed at any moment, while one
// in Go calls all the time; the next one always gets a lane.
func TestKillMany(t *testing.T) {
	owner, path := load(t)
	program := build(t, "-O2")
	hundreds := 3
	if testing.Short() {
		hundreds = 1
	}
	guest := startGuest(t, path) // a Go process is there all the time
	defer guest.Wait()
	defer guest.Process.Kill()
	for range hundreds {
		run(t, program, "prefork", path, "100") // kills as many children with lanes of their own
	}
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

// TestStalled: a process that is stopped while its calls and answers fill its lane
// delays nobody else's call.
func TestStalled(t *testing.T) {
	owner, path := load(t)
	steady := attach(t, path)
	alone := callTimes(t, steady)
	hog := startGuest(t, path, asHog+"=1")
	defer hog.Wait()
	defer hog.Process.Kill()
	busy := callTimes(t, steady)
	if err := hog.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stalled := callTimes(t, steady)
	for _, e := range []*host.Enclave{owner, steady} {
		if out, err := do(t.Context(), e, 5, strings.Repeat("x", 100)); err != nil || len(out) != 100<<10 {
			t.Errorf("a large answer: %d bytes, %v", len(out), err)
		}
	}
	t.Logf("median and longest of %d calls: alone %v, with a busy one %v, with a stalled one %v", calls, alone, busy, stalled)
	if stalled[0] > 5*alone[0]+time.Millisecond || stalled[1] > time.Second {
		t.Errorf("calls take %v beside a stalled process, alone %v", stalled, alone)
	}
	if busy[1] > 2*time.Second {
		t.Errorf("calls take %v beside a busy process", busy)
	}
}

// calls is how many callTimes makes.
const calls = 300

// callTimes makes calls, a bit apart, and returns their median and the longest.
func callTimes(t *testing.T, e *host.Enclave) [2]time.Duration {
	t.Helper()
	var times []time.Duration
	for range calls {
		begun := time.Now()
		if out, err := do(t.Context(), e, 0, "x"); err != nil || out != "x" {
			t.Fatalf("%q, %v", out, err)
		}
		times = append(times, time.Since(begun))
	}
	slices.Sort(times)
	return [2]time.Duration{times[calls/2], times[calls-1]}
}

// steal attaches and keeps the lane's descriptors.
func steal(t *testing.T, path string) (mem, bell *os.File) {
	t.Helper()
	conn, err := rendezvous.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write(rendezvous.AppendFrame(nil, rendezvous.KindAttach, rendezvous.AttachRequest{Memory: 1 << 20}.Encode())); err != nil {
		t.Fatal(err)
	}
	oob := make([]byte, unix.CmsgSpace(8))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1<<16), oob)
	if err != nil {
		t.Fatal(err)
	}
	list, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(list) != 1 {
		t.Fatalf("%d control messages, %v", len(list), err)
	}
	fds, err := unix.ParseUnixRights(&list[0])
	if err != nil || len(fds) != 2 {
		t.Fatalf("%d descriptors, %v", len(fds), err)
	}
	mem, bell = os.NewFile(uintptr(fds[0]), "lane"), os.NewFile(uintptr(fds[1]), "bell")
	t.Cleanup(func() { mem.Close() })
	t.Cleanup(func() { bell.Close() })
	return mem, bell
}

// TestLaneTwice: a process passes its lane on to several, in Go and C, which all use
// it as theirs. Their calls may fail; nobody else's do, and the lane ends with the
// connection of the one that it was given to.
func TestLaneTwice(t *testing.T) {
	program := build(t, "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
	owner, path := load(t)
	steady := attach(t, path)
	mem, bell := steal(t, path)
	again := pretend(t, func(r *rendezvous.Request) {
		about := []byte(`{"manifest": {"name": "c-test", "security_version": 1, "memory": 67108864, "lane_memory": 1048576, "workers": 2, "lanes": 2}}`)
		if r.AnswerAttached(rendezvous.Attached{Workers: 2, Memory: 1 << 20, About: about}, mem, bell) == nil && r.Settle() == nil {
			io.Copy(io.Discard, r.Conn)
		}
	})
	var wg sync.WaitGroup
	for range 2 {
		e, err := host.Attach(t.Context(), again, host.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		for i := range 4 {
			wg.Go(func() {
				for range 100 {
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
					do(ctx, e, 0, strings.Repeat("x", 1+i*2000)) // it may go wrong
					cancel()
				}
			})
		}
	}
	run(t, program, "hostile", again, "10")
	wg.Wait()
	for _, e := range []*host.Enclave{owner, steady} {
		if out, err := do(t.Context(), e, 0, "x"); err != nil || out != "x" {
			t.Errorf("somebody else's call: %q, %v", out, err)
		}
	}
}

// TestHalfFrames: processes that write part of a frame to their bell, or noise, and
// stop there. Their lane may end; others go on.
func TestHalfFrames(t *testing.T) {
	owner, path := load(t)
	for _, b := range [][]byte{{1}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 255, 255, 255}, make([]byte, 31), bytes.Repeat([]byte{255}, 4096), append(make([]byte, 12), 255, 255, 255, 127)} {
		_, lane, conn, err := rendezvous.Attach(t.Context(), path, rendezvous.AttachRequest{Memory: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		defer lane.Release()
		defer lane.Bell.Close()
		if _, err := lane.Bell.Write(b); err != nil {
			t.Error(err)
		}
		if out, err := do(t.Context(), owner, 0, "x"); err != nil || out != "x" {
			t.Errorf("the owner's call: %q, %v", out, err)
		}
	}
	e := attach(t, path)
	if out, err := do(t.Context(), e, 0, "x"); err != nil || out != "x" {
		t.Errorf("the next one's call: %q, %v", out, err)
	}
}
