package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/sim/evidence"
	"github.com/secgear/secgear/sdk/tee/sim/hardware"
	"github.com/secgear/secgear/sdk/tee/teetest"
)

// Environment variables by which the test program starts itself.
const (
	asOtherUser = "SECGEAR_TEST_PROGRAM_AT_3" // run tests with the enclave programs on descriptors 3 and so on
	asHost      = "SECGEAR_TEST_HOST"         // be a host; see kill_linux_test.go
	withoutNS   = "SECGEAR_TEST_NO_USERNS"    // run tests where there are no user namespaces
)

func TestMain(m *testing.M) {
	if how := os.Getenv(asHost); how == lookAtOwnMemory {
		fmt.Println(plaintextInMemory())
		return
	} else if how != "" {
		beHost(how)
		return
	}
	if os.Getenv(withoutNS) != "" {
		// This user namespace is of the test's own making, and so is its setting.
		if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// architectures are those that enclaves can be built for, this machine's first.
var architectures = slices.Concat([]string{runtime.GOARCH}, foreignArchitectures)

// foreignArchitectures are the others.
var foreignArchitectures = slices.DeleteFunc([]string{"amd64", "arm64", "riscv64"}, func(arch string) bool { return arch == runtime.GOARCH })

// everywhere runs test for each architecture that this machine has an emulator
// for, and says what is missing for another.
func everywhere(t *testing.T, test func(t *testing.T, arch string)) {
	for _, arch := range architectures {
		t.Run(arch, func(t *testing.T) {
			if arch != runtime.GOARCH && os.Getenv(asOtherUser) != "" && os.Getenv("SECGEAR_TEST_TEES") != "all" {
				t.Skip("left out to be short: SECGEAR_TEST_TEES=all runs it")
			}
			if s := (Backend{}).ProbeArch(arch); !s.Available {
				t.Skipf("%s can't run here: %+v", arch, s.Missing)
			}
			test(t, arch)
		})
	}
}

// testProgram returns the test enclave for this machine.
func testProgram(t testing.TB) []byte {
	t.Helper()
	return testProgramFor(t, runtime.GOARCH)
}

// testProgramFor returns the test enclave for arch.
func testProgramFor(t testing.TB, arch string) []byte {
	t.Helper()
	if os.Getenv(asOtherUser) == "" {
		return teetest.BuildFor(t, "testdata/testenclave", arch)
	}
	b, err := inheritedPrograms[slices.Index(architectures, arch)]()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// inheritedPrograms read the test enclaves for all architectures from
// descriptor 3 on.
var inheritedPrograms = func() (read []func() ([]byte, error)) {
	for i := range architectures {
		read = append(read, sync.OnceValues(func() ([]byte, error) {
			f := os.NewFile(uintptr(3+i), "program")
			defer f.Close()
			return io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
		}))
	}
	return read
}()

// launchTest launches the test enclave.
func launchTest(t testing.TB, b Backend, m image.Manifest) *teetest.Enclave {
	t.Helper()
	return launchFor(t, b, m, runtime.GOARCH)
}

// launchFor launches the test enclave for arch.
func launchFor(t testing.TB, b Backend, m image.Manifest, arch string) *teetest.Enclave {
	t.Helper()
	return teetest.Launch(t, b, teetest.Image(t, m, testProgramFor(t, arch), 1), t.TempDir())
}

// pid is the process of an enclave.
func pid(e *teetest.Enclave) int { return e.Instance.(*instance).Pid() }

// Backend is a TEE of the tests: it has the simulation's name and hardware.
type Backend struct {
	without  string // the part of the confinement to leave out
	emulator string // the file to take for the emulator
	pulse    time.Duration
}

func (b Backend) tee(dir string) TEE {
	return TEE{
		Name: "sim", Without: b.without, Emulator: b.emulator, Pulse: b.pulse,
		Enter: func(_ context.Context, id tee.Identity) (Hardware, []tee.Protection, error) {
			machine, err := hardware.Open(dir)
			if err != nil {
				return nil, nil, err
			}
			return machine.Enclave(id), nil, nil
		},
	}
}

func (Backend) Name() string                       { return "sim" }
func (b Backend) Probe() tee.Status                { return b.ProbeArch(runtime.GOARCH) }
func (b Backend) ProbeArch(arch string) tee.Status { return b.tee("").ProbeArch(arch) }

func (b Backend) Launch(ctx context.Context, img *image.Image, cfg tee.LaunchConfig) (tee.Instance, error) {
	return b.tee(cfg.StateDir).Launch(ctx, img, cfg)
}

// TestConformance runs the suite as another user, and without user namespaces.
// As it is, it is run by the tests of the backends.
func TestConformance(t *testing.T) {
	if os.Getenv(asOtherUser) == "" {
		t.Skip("the tests of sdk/tee/sim run it")
	}
	teetest.Suite{
		Backend: Backend{}, Program: testProgram(t), EvidencePrefix: evidence.Magic,
		Kill: func(i tee.Instance) error { return unix.Kill(i.(*instance).Pid(), unix.SIGKILL) },
	}.Run(t)
}

// TestAsOrdinaryUser runs the tests that launch enclaves again, as a user
// without any privilege.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the tests run as an ordinary user already")
	}
	programs := memoryFiles(t)
	for _, tt := range []struct {
		run    string
		groups []uint32
	}{
		{"Conformance|Sandbox.*|Emulat.*|Confined|Probe|Nothing.*|Kill.*|Encrypted.*", nil},
		{"Sandbox.*|Confined|Probe", []uint32{4, 5}},
	} {
		t.Run(fmt.Sprintf("groups=%d", len(tt.groups)), func(t *testing.T) {
			run := "^Test(" + tt.run + ")$"
			cmd := exec.Command("/proc/self/exe", "-test.run", run, "-test.v", "-test.short", "-test.timeout", "5m")
			cmd.Env = []string{asOtherUser + "=1", "SECGEAR_TEST_TEES=" + os.Getenv("SECGEAR_TEST_TEES"), "PATH=/usr/bin:/bin", "TMPDIR=/tmp"}
			cmd.ExtraFiles = programs
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Credential: &syscall.Credential{Uid: nobody, Gid: nobody, Groups: tt.groups},
				Pdeathsig:  syscall.SIGKILL,
			}
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Run(); err != nil || strings.Count(out.String(), "--- PASS: TestSandbox") == 0 {
				t.Errorf("%v\n%s", err, out.String())
			}
		})
	}
}

// TestWithoutUserNamespaces runs the tests again where the kernel has no
// (further) user namespaces: for a root, who can have the other namespaces all
// the same, and for an ordinary user, who gets none.
func TestWithoutUserNamespaces(t *testing.T) {
	if os.Getenv(asOtherUser) != "" {
		t.Skip("runs as the user who began the tests only")
	}
	programs := memoryFiles(t)
	for _, uid := range []int{0, 1000} {
		t.Run(fmt.Sprintf("uid=%d", uid), func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe", "-test.run", "^Test(Conformance|Degraded|Emulated.*|Nothing.*)$", "-test.v", "-test.short", "-test.timeout", "5m")
			cmd.Env = []string{asOtherUser + "=1", "SECGEAR_TEST_TEES=" + os.Getenv("SECGEAR_TEST_TEES"), withoutNS + "=1", "PATH=/usr/bin:/bin", "TMPDIR=/tmp"}
			cmd.ExtraFiles = programs
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  unix.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Geteuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getegid(), Size: 1}},
				AmbientCaps: []uintptr{unix.CAP_SYS_RESOURCE},
				Pdeathsig:   syscall.SIGKILL,
			}
			out, err := cmd.CombinedOutput()
			if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
				t.Skipf("this user can't make a user namespace: %v", err)
			}
			if err != nil || !bytes.Contains(out, []byte("--- PASS: TestDegraded")) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestDegraded: without user namespaces the launch goes on, and what is missing
// is named; the rest is in force.
func TestDegraded(t *testing.T) {
	if os.Getenv(withoutNS) == "" {
		t.Skip("there are user namespaces; see TestWithoutUserNamespaces")
	}
	root := os.Geteuid() == 0
	active := map[string]bool{}
	for _, p := range launchTest(t, Backend{}, teetest.Manifest()).Protections() {
		active[p.Name] = p.Active
		if !p.Active && p.Reason == "" {
			t.Errorf("%s is missing without a reason", p.Name)
		}
	}
	for name, want := range map[string]bool{
		partUserNS: false, partThreads: false,
		"pid namespace": root, "network namespace": root, "mount namespace": root, partRoot: root, partHostName: root,
		partProgram: true, partPrivs: true, partSeccomp: true, partCaps: true, partLimits: true, partDescriptors: true,
		"parent-death signal": true, partDump: true,
	} {
		if got, ok := active[name]; got != want || !ok {
			t.Errorf("%s: active %v, listed %v; want %v", name, got, ok, want)
		}
	}
	// Other processes of the same user are out of reach even where there is no
	// pid namespace, and no Landlock that knows signals.
	launchTest(t, Backend{without: partLandlock}, teetest.Manifest()).Control.Refused("signalhost", os.Getpid())
	for _, m := range (Backend{}).Probe().Missing {
		if m.What == partUserNS && !strings.Contains(m.Fix, "user.max_user_namespaces") {
			t.Errorf("the hint does not fit: %+v", m)
		}
	}
}

// memoryFiles returns files with the test enclaves for all architectures.
func memoryFiles(t *testing.T) (files []*os.File) {
	t.Helper()
	for _, arch := range architectures {
		files = append(files, memoryFile(t, testProgramFor(t, arch)))
	}
	return files
}

// memoryFile returns a file with content that every user can use.
func memoryFile(t *testing.T, content []byte) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("program", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "program")
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestProbe(t *testing.T) {
	if s := (Backend{}).Probe(); !s.Available {
		t.Fatalf("not available: %+v", s.Missing)
	}
	everywhere(t, testProbe)
}

func testProbe(t *testing.T, arch string) {
	s := Backend{}.ProbeArch(arch)
	for _, m := range s.Missing {
		if m.What == "" || m.Why == "" {
			t.Errorf("incomplete: %+v", m)
		}
	}
	// What the probe says of the parts is what a launch says.
	m := teetest.Manifest()
	missing := map[string]bool{}
	for _, x := range s.Missing {
		missing[x.What] = true
	}
	for _, p := range launchFor(t, Backend{}, m, arch).Protections() {
		if p.Active == missing[p.Name] {
			t.Errorf("%s is missing by the probe: %v; by the launch: %+v", p.Name, missing[p.Name], p)
		}
		if p.Active != (p.Reason == "") {
			t.Errorf("a reason where there should be none, or the reverse: %+v", p)
		}
	}
}

// TestProbeNamesWhatIsMissing: a part that can't be had is named, and the launch
// goes on.
func TestProbeNamesWhatIsMissing(t *testing.T) {
	b := Backend{without: partLandlock}
	found := false
	for _, m := range b.Probe().Missing {
		found = found || m.What == partLandlock && m.Why != "" && m.Fix != ""
	}
	if !found {
		t.Error("the probe does not name it")
	}
	found = false
	for _, p := range launchTest(t, b, teetest.Manifest()).Protections() {
		found = found || p.Name == partLandlock && !p.Active && p.Reason != ""
	}
	if !found {
		t.Error("the launch does not name it")
	}
}

// TestOtherMachine: a program for another machine is refused before anything is
// started.
func TestOtherMachine(t *testing.T) {
	img := teetest.Image(t, teetest.Manifest(), testProgram(t), 1)
	img.Arch = "pdp11"
	_, err := Backend{}.Launch(t.Context(), img, teetest.Config(t.TempDir()))
	if err == nil || !strings.Contains(err.Error(), "pdp11") {
		t.Errorf("error: %v", err)
	}
}

// TestCores: the enclave runs where it is told to.
func TestCores(t *testing.T) {
	img := teetest.Image(t, teetest.Manifest(), testProgram(t), 1)
	cfg := teetest.Config(t.TempDir())
	cfg.Cores = []int{0}
	i, err := Backend{}.Launch(t.Context(), img, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	if got := teetest.NewTalk(t, i.Control()).Get("cores"); got != "1 true" {
		t.Errorf("cores: %s", got)
	}
	for _, core := range []int{-1, 1023, 1 << 20} {
		cfg.Cores = []int{core}
		if i, err := (Backend{}).Launch(t.Context(), img, cfg); err == nil {
			i.Close()
			t.Errorf("launched on core %d", core)
		}
	}
}

// BenchmarkLaunch measures from Launch to a ready enclave.
func BenchmarkLaunch(b *testing.B) {
	img := teetest.Image(b, teetest.Manifest(), testProgram(b), 1)
	dir := b.TempDir()
	for b.Loop() {
		i, err := Backend{}.Launch(b.Context(), img, teetest.Config(dir))
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := i.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
