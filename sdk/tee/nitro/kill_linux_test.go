package nitro

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/teetest"
)

// asHost is set for the test program when it is to be a host of its own, to the
// file of the enclave's program.
const asHost = "SECGEAR_TEST_NITRO_HOST"

func TestMain(m *testing.M) {
	if program := os.Getenv(asHost); program != "" {
		beHost(program)
	}
	os.Exit(m.Run())
}

// beHost launches an enclave, and waits to be killed.
func beHost(file string) {
	program, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	img := teetest.Image(panicker{}, teetest.Manifest(), program, 1)
	fmt.Println("launching")
	i, err := Backend{}.Launch(context.Background(), img, teetest.Config(filepath.Dir(file)))
	if err != nil {
		panic(err)
	}
	fmt.Println(pids(i))
	select {}
}

// panicker is a testing.TB for where there is no test.
type panicker struct{ testing.TB }

func (panicker) Helper()           {}
func (panicker) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// pids are the processes of an emulated enclave.
func pids(i tee.Instance) (qemu, vsock int) {
	e := i.(*instance).machine.(*emulator)
	return e.qemu.Pid, e.vsock.Pid
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
		late := time.AfterFunc(teetest.Patience, func() { panic("a process outlives its host") })
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

// skipUnlessEmulated skips where enclaves are not emulated.
func skipUnlessEmulated(t testing.TB) {
	t.Helper()
	skipWithout(t)
	if Hardware() {
		t.Skip("enclaves are not emulated here")
	}
}

// TestKillHost: kill -9 of the host, while it launches and afterwards, leaves
// neither processes nor files.
func TestKillHost(t *testing.T) {
	skipUnlessEmulated(t)
	program := teetest.BuildFor(t, "testdata/testenclave", "amd64")
	for _, running := range []bool{false, true} {
		t.Run(fmt.Sprintf("running=%v", running), func(t *testing.T) {
			allEnded := adoptOrphans(t)
			file := filepath.Join(t.TempDir(), "program")
			if err := os.WriteFile(file, program, 0o600); err != nil {
				t.Fatal(err)
			}
			temporary := t.TempDir()
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), asHost+"="+file, "TMPDIR="+temporary)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var said string
			if _, err := fmt.Fscan(out, &said); err != nil {
				t.Fatal(err)
			}
			var processes [2]int
			if running {
				if _, err := fmt.Fscan(out, &processes[0], &processes[1]); err != nil {
					t.Fatal(err)
				}
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			allEnded()
			for _, pid := range processes {
				if err := unix.Kill(pid, 0); pid != 0 && err != unix.ESRCH {
					t.Errorf("process %d is still there: %v", pid, err)
				}
			}
			if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// TestKillEmulation: whoever waits for an enclave one of whose programs is killed
// gets to know, and this process has what it had before.
func TestKillEmulation(t *testing.T) {
	skipUnlessEmulated(t)
	before := openFiles(t)
	for name, which := range map[string]func(qemu, vsock int) int{
		"QEMU":  func(qemu, _ int) int { return qemu },
		"vsock": func(_, vsock int) int { return vsock },
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := launchTest(t, teetest.Manifest())
			l, _ := e.Lane(t, 1<<20)
			errs := make(chan error, 2)
			for _, r := range []io.Reader{e.Instance.Control(), l.Bell} {
				go func() {
					_, err := r.Read(make([]byte, 1))
					errs <- err
				}()
			}
			if err := unix.Kill(which(pids(e.Instance)), unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := <-errs; !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
					t.Errorf("a reader got %v", err)
				}
			}
			e.WaitDone(t)
			if err := e.Err(); err == nil || name == "QEMU" && !strings.Contains(err.Error(), "SIGKILL") {
				t.Errorf("Err: %v", err)
			}
			if _, err := e.OpenLane(t.Context(), 1<<20); !errors.Is(err, tee.ErrLost) {
				t.Errorf("opening a lane: %v", err)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if after := openFiles(t); after > before+4 { // the runtime's own, for waiting
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestMissing: what is missing for an enclave is named, with how to get it, and
// nothing is launched.
func TestMissing(t *testing.T) {
	if Hardware() {
		t.Skip("this machine has the driver")
	}
	t.Setenv(envTools, t.TempDir())
	t.Setenv(envKernel, filepath.Join(t.TempDir(), "none"))
	s := Backend{}.ProbeArch("amd64")
	if s.Available || len(s.Missing) != 4 {
		t.Errorf("%+v", s)
	}
	for _, m := range s.Missing {
		if m.What == "" || m.Why == "" || m.Fix == "" {
			t.Errorf("incomplete: %+v", m)
		}
	}
	img := teetest.Image(t, teetest.Manifest(), teetest.BuildFor(t, "testdata/testenclave", "amd64"), 1)
	if _, err := (Backend{}).Launch(t.Context(), img, teetest.Config(t.TempDir())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a kernel: %v", err)
	}
	other := *img
	other.Arch = "arm64"
	if _, err := (Backend{}).Launch(t.Context(), &other, teetest.Config(t.TempDir())); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("for another processor: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Backend{}).Launch(ctx, img, teetest.Config(t.TempDir())); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
