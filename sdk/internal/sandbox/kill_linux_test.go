package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/teetest"
)

// TestKillEnclave: whoever waits for an enclave that is killed gets to know.
func TestKillEnclave(t *testing.T) {
	e := launchTest(t, Backend{}, teetest.Manifest())
	l, _ := e.Lane(t, 1<<20)
	errs := make(chan error, 2)
	for _, r := range []io.Reader{e.Instance.Control(), l.Bell} {
		go func() {
			_, err := r.Read(make([]byte, 1))
			errs <- err
		}()
	}
	if err := unix.Kill(pid(e), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-errs; !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("a reader got %v", err)
		}
	}
	e.WaitDone(t)
	if err := e.Err(); err == nil || !strings.Contains(err.Error(), "SIGKILL") {
		t.Errorf("Err: %v", err)
	}
	if _, err := e.OpenLane(t.Context(), 1<<20); !errors.Is(err, tee.ErrLost) {
		t.Errorf("opening a lane: %v", err)
	}
}

// TestKillDuringOpenLane: an enclave may be killed while a lane is handed to it.
func TestKillDuringOpenLane(t *testing.T) {
	for i := range 5 {
		e := launchTest(t, Backend{}, teetest.Manifest())
		time.AfterFunc(time.Duration(i)*200*time.Microsecond, func() { unix.Kill(pid(e), unix.SIGKILL) })
		for {
			l, err := e.OpenLane(t.Context(), 1<<20)
			if err != nil {
				if !errors.Is(err, tee.ErrLost) && !strings.Contains(err.Error(), "wait to be accepted") {
					t.Error(err)
				}
				break
			}
			l.Bell.Close()
			l.Release()
		}
		e.WaitDone(t)
	}
}

// beHost is what the test program does as a host of its own: it launches
// enclaves, and waits to be killed.
func beHost(how string) {
	program, err := inheritedPrograms[slices.Index(architectures, os.Getenv("ARCH"))]()
	if err != nil {
		panic(err)
	}
	dir := os.Getenv("STATE")
	img := teetest.Image(panicker{}, teetest.Manifest(), program, 1)
	for {
		i, err := Backend{}.Launch(context.Background(), img, teetest.Config(dir))
		if err != nil {
			panic(err)
		}
		if _, err := i.OpenLane(context.Background(), 1<<20); err != nil {
			panic(err)
		}
		fmt.Println(i.(*instance).Pid())
		if how == "stay" {
			select {}
		}
		if err := i.Close(); err != nil {
			panic(err)
		}
	}
}

// panicker is a testing.TB for where there is no test.
type panicker struct{ testing.TB }

func (panicker) Helper()           {}
func (panicker) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// startHost starts the test program as a host, whose output is returned.
func startHost(t *testing.T, how, arch string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{asHost + "=" + how, "ARCH=" + arch, "STATE=" + t.TempDir()}
	cmd.ExtraFiles = memoryFiles(t)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// adoptOrphans makes this process the parent of all orphans among its
// descendants, and fails the test if one of them does not end by itself.
func adoptOrphans(t *testing.T) (allEnded func()) {
	t.Helper()
	set := func(v uintptr) {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, v, 0, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	set(1)
	t.Cleanup(func() { set(0) })
	return func() {
		t.Helper()
		late := time.AfterFunc(teetest.Patience, func() {
			panic("a process outlives its host")
		})
		defer late.Stop()
		for {
			_, err := syscall.Wait4(-1, nil, 0, nil)
			if err == unix.ECHILD {
				return
			}
			if err != nil && err != unix.EINTR {
				t.Fatal(err)
			}
		}
	}
}

// TestKillHost: kill -9 of the host takes the enclave with it.
func TestKillHost(t *testing.T) { everywhere(t, testKillHost) }

func testKillHost(t *testing.T, arch string) {
	allEnded := adoptOrphans(t)
	cmd, out := startHost(t, "stay", arch)
	var enclave int
	if _, err := fmt.Fscan(out, &enclave); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(enclave, 0); err != nil {
		t.Errorf("the enclave does not run: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the host was not killed")
	}
	allEnded()
	if err := unix.Kill(enclave, 0); err != unix.ESRCH {
		t.Errorf("the enclave is still there: %v", err)
	}
}

// TestKillHostAtAnyMoment kills hosts while they launch.
func TestKillHostAtAnyMoment(t *testing.T) {
	allEnded := adoptOrphans(t)
	moments := 20
	if testing.Short() {
		moments = 5
	}
	for i := range moments {
		cmd, out := startHost(t, "again", runtime.GOARCH)
		var enclave int
		if _, err := fmt.Fscan(out, &enclave); err != nil { // it has begun
			t.Fatal(err)
		}
		timer := time.NewTimer(time.Duration(i) * 700 * time.Microsecond)
		<-timer.C
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		allEnded()
	}
}

// count tells how much of everything this process has.
func count(t *testing.T) map[string]int {
	t.Helper()
	n := map[string]int{}
	for _, name := range []string{"fd", "task"} {
		entries, err := os.ReadDir("/proc/self/" + name)
		if err != nil {
			t.Fatal(err)
		}
		n[name] = len(entries)
	}
	for _, name := range []string{"mountinfo", "maps"} {
		b, err := os.ReadFile("/proc/self/" + name)
		if err != nil {
			t.Fatal(err)
		}
		n[name] = strings.Count(string(b), "\n")
		if name == "maps" {
			n[name] = strings.Count(string(b), "memfd:")
		}
	}
	return n
}

// TestNothingStaysBehind: after enclaves, whether they were closed, died, or
// never came to life, this process has what it had before.
func TestNothingStaysBehind(t *testing.T) {
	everywhere(t, func(t *testing.T, arch string) {
		rounds := 10
		if arch != runtime.GOARCH {
			rounds = 2
		}
		testNothingStaysBehind(t, arch, rounds)
	})
}

func testNothingStaysBehind(t *testing.T, arch string, rounds int) {
	img := teetest.Image(t, teetest.Manifest(), testProgramFor(t, arch), 1)
	bad := *img
	bad.Program = []byte("no program")
	encrypted := teetest.EncryptedImage(t, teetest.Manifest(), testProgram(t), 1, teetest.ImageKey(t, 1))
	dir := t.TempDir()
	round := func() {
		i, err := Backend{}.Launch(t.Context(), img, teetest.Config(dir))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			l, err := i.OpenLane(t.Context(), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			l.Bell.Close()
			l.Release()
			l.Release()
		}
		if _, err := i.OpenLane(t.Context(), math.MaxInt&^0xffff); err == nil {
			t.Error("a lane of all memory was opened")
		}
		if err := i.Close(); err != nil {
			t.Fatal(err)
		}
		if i, err := (Backend{}).Launch(t.Context(), &bad, teetest.Config(dir)); err == nil {
			i.Close()
			t.Error("launched what is no program")
		}
		cfg := teetest.Config(dir)
		for seed := range byte(3) { // no key, the right one, a wrong one
			cfg.ImageKey = func(context.Context) (image.Key, error) {
				if seed == 0 {
					return image.Key{}, errors.New("no key")
				}
				return teetest.ImageKey(t, seed), nil
			}
			i, err := Backend{}.Launch(t.Context(), encrypted, cfg)
			if (err == nil) != (seed == 1) {
				t.Errorf("launched with key %d: %v", seed, err)
			}
			if err == nil {
				i.Close()
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond)
		if i, err := (Backend{}).Launch(ctx, img, teetest.Config(dir)); err == nil {
			i.Close()
		}
		cancel()
		Backend{}.Probe()
	}
	round() // the runtime's own descriptors
	goroutines := runtime.NumGoroutine()
	before := count(t)
	for range rounds {
		round()
	}
	after := count(t)
	for _, what := range []string{"fd", "mountinfo", "maps"} {
		if after[what] != before[what] {
			t.Errorf("%s: %d before, %d after", what, before[what], after[what])
		}
	}
	// The runtime keeps a few threads, and goroutines end when they get to run.
	if after["task"] > before["task"]+8 {
		t.Errorf("threads: %d before, %d after", before["task"], after["task"])
	}
	for end := time.Now().Add(teetest.Patience); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		if time.Now().After(end) {
			buf := make([]byte, 1<<20)
			t.Fatalf("goroutines stay:\n%s", buf[:runtime.Stack(buf, true)])
		}
	}
}
