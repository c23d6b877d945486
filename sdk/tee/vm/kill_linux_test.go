package vm

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
	"github.com/secgear/secgear/sdk/tee/vm/internal/qemu"
)

// asHost is set for the test program when it is to be a host of its own, to the
// file of the enclave's program.
const asHost = "SECGEAR_TEST_VM_HOST"

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
	i, err := Backend{Machine: qemu.Q35}.Launch(context.Background(), img, teetest.Config(filepath.Dir(file)))
	if err != nil {
		panic(err)
	}
	if _, err := i.OpenLane(context.Background(), 1<<20); err != nil {
		panic(err)
	}
	fmt.Println(pid(i))
	select {}
}

// panicker is a testing.TB for where there is no test.
type panicker struct{ testing.TB }

func (panicker) Helper()           {}
func (panicker) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// startHost starts the test program as a host, whose output is returned.
func startHost(t *testing.T) (*exec.Cmd, io.Reader) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, testProgram(t, "amd64"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), asHost+"="+file)
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

// available skips the test where no q35 can be launched.
func available(t testing.TB) Backend {
	t.Helper()
	b := Backend{Machine: qemu.Q35}
	if s := b.ProbeArch("amd64"); !s.Available {
		t.Skipf("can't run here: %+v", s.Missing)
	}
	return b
}

// TestKillHost: kill -9 of the host, while the machine boots and while it runs,
// takes the machine with it.
func TestKillHost(t *testing.T) {
	available(t)
	testProgram(t, "amd64") // built before orphans are adopted
	for _, running := range []bool{false, true} {
		t.Run(fmt.Sprintf("running=%v", running), func(t *testing.T) {
			allEnded := adoptOrphans(t)
			cmd, out := startHost(t)
			var said string
			var machine int
			if _, err := fmt.Fscan(out, &said); err != nil {
				t.Fatal(err)
			}
			if running {
				if _, err := fmt.Fscan(out, &machine); err != nil {
					t.Fatal(err)
				}
				if err := unix.Kill(machine, 0); err != nil {
					t.Errorf("the machine does not run: %v", err)
				}
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			allEnded()
			if err := unix.Kill(machine, 0); running && err != unix.ESRCH {
				t.Errorf("the machine is still there: %v", err)
			}
		})
	}
}

// TestKillMachine: whoever waits for an enclave whose machine is killed gets to
// know, and afterwards this process has what it had before.
func TestKillMachine(t *testing.T) {
	b := available(t)
	before, mapped := openFiles(t), mappings(t)
	i, err := b.Launch(t.Context(), teetest.Image(t, teetest.Manifest(), testProgram(t, "amd64"), 1), teetest.Config(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	l, err := i.OpenLane(t.Context(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 2)
	for _, r := range []io.Reader{i.Control(), l.Bell} {
		go func() {
			_, err := r.Read(make([]byte, 1))
			errs <- err
		}()
	}
	if err := unix.Kill(pid(i), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-errs; !errors.Is(err, io.EOF) {
			t.Errorf("a reader got %v", err)
		}
	}
	<-i.Done()
	if err := i.Err(); err == nil || !strings.Contains(err.Error(), "SIGKILL") {
		t.Errorf("Err: %v", err)
	}
	if _, err := i.OpenLane(t.Context(), 1<<20); !errors.Is(err, tee.ErrLost) {
		t.Errorf("opening a lane: %v", err)
	}
	l.Mem[0] = 1 // still mapped
	l.Bell.Close()
	l.Release()
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	if after := openFiles(t); after > before+4 { // the runtime's own, for waiting
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if n := mappings(t); n > mapped {
		t.Errorf("%d memory files were mapped before, %d are after", mapped, n)
	}
}

// mappings counts the memory files of ours that are mapped here.
func mappings(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), "memfd:secgear")
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestRefused: what can't be launched is refused before anything is started, or
// says why it ended.
func TestRefused(t *testing.T) {
	b := available(t)
	img := teetest.Image(t, teetest.Manifest(), testProgram(t, "amd64"), 1)
	other := *img
	other.Arch = "pdp11"
	if _, err := b.Launch(t.Context(), &other, teetest.Config(t.TempDir())); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("another architecture: %v", err)
	}
	if _, err := (Backend{Machine: "pc"}).Launch(t.Context(), img, teetest.Config(t.TempDir())); err == nil || !strings.Contains(err.Error(), qemu.MicroVM) {
		t.Errorf("another machine: %v", err)
	}
	for _, core := range []int{-1, 1 << 20} {
		cfg := teetest.Config(t.TempDir())
		cfg.Cores = []int{core}
		if i, err := b.Launch(t.Context(), img, cfg); err == nil {
			i.Close()
			t.Errorf("launched on core %d", core)
		}
	}
	t.Setenv(kernelVariable, t.TempDir())
	if _, err := b.Launch(t.Context(), img, teetest.Config(t.TempDir())); err == nil || !strings.Contains(err.Error(), "vmlinuz") {
		t.Errorf("no kernel: %v", err)
	}
	if s := b.ProbeArch("amd64"); s.Available || len(s.Missing) != 1 || !strings.Contains(s.Missing[0].Fix, "scripts/setup vm") {
		t.Errorf("probe without a kernel: %+v", s)
	}
	t.Setenv("PATH", t.TempDir())
	if s := b.ProbeArch("amd64"); len(s.Missing) != 2 || !strings.Contains(s.Missing[0].Fix, "qemu-system-x86") {
		t.Errorf("probe without QEMU: %+v", s)
	}
}

// TestConfidentialMissing: a kind that this machine lacks is not available, and
// the probe names why.
func TestConfidentialMissing(t *testing.T) {
	for _, kind := range []Kind{SNP, TDX, CCA} {
		s := Backend{Kind: kind}.Probe()
		if s.Available {
			t.Logf("%s is available here", kind)
			continue
		}
		for _, m := range s.Missing {
			if m.What == "" || m.Why == "" || m.Fix == "" {
				t.Errorf("%s: incomplete: %+v", kind, m)
			}
		}
		if len(s.Missing) == 0 {
			t.Errorf("%s: nothing is missing", kind)
		}
	}
}

// TestEnding: only process 1 of the guest says how the program ended.
func TestEnding(t *testing.T) {
	for line, want := range map[string]string{
		"secgear guest: exit status 0":          exitZero,
		"secgear guest: exit status 7":          "exit status 7",
		"secgear guest: exit status -7":         "",
		"secgear guest: exit status 99999":      "",
		"secgear guest: signal 9":               "SIGKILL",
		"secgear guest: signal 900":             "",
		"secgear guest: failed: mounting /proc": "it did not start: mounting /proc",
		"x secgear guest: exit status 0":        "",
		"":                                      "",
	} {
		if got := ending(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}
