package ctest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/enclavetest"
	"github.com/secgear/secgear/sdk/host"
)

// build compiles the C library with the test program, once for each set of
// flags.
func build(t *testing.T, flags ...string) string {
	t.Helper()
	cc, err := compiler()
	if err != nil {
		t.Skip(err)
	}
	return buildBy(t, cc, flags...)
}

// buildBy is build with a compiler of one's choice.
func buildBy(t *testing.T, cc string, flags ...string) string {
	t.Helper()
	programs.Lock()
	defer programs.Unlock()
	key := cc + " " + strings.Join(flags, " ")
	if p, ok := programs.built[key]; ok {
		return p
	}
	p := filepath.Join(programs.dir, fmt.Sprintf("test%d", len(programs.built)))
	args := append([]string{"-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-g", "-I", "..", "-o", p, "testdata/test.c", "../secgear.c"}, flags...)
	out, err := exec.Command(cc, append(args, "-lpthread")...).CombinedOutput()
	if err != nil && strings.Contains(string(out), "libclang_rt") {
		t.Skip("clang's sanitizers are missing: apt-get install libclang-rt-dev")
	}
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", cc, strings.Join(args, " "), err, out)
	}
	programs.built[key] = p
	return p
}

var programs struct {
	sync.Mutex
	dir   string
	built map[string]string
}

func compiler() (string, error) {
	for _, name := range []string{os.Getenv("CC"), "cc", "gcc", "clang"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no C compiler: install gcc or clang, or name one in $CC")
}

func TestMain(m *testing.M) {
	if path := os.Getenv(asGuest); path != "" {
		beGuest(path)
	}
	dir, err := os.MkdirTemp("", "secgear-c-")
	if err != nil {
		panic(err)
	}
	programs.dir, programs.built = dir, make(map[string]string)
	os.Setenv("SECGEAR_RUN", filepath.Join(dir, "run"))
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// load starts the enclave of the tests and returns the path of its socket.
func load(t *testing.T) (*host.Enclave, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	e := enclavetest.Start(t, nil, enclavetest.Sandboxed(), enclavetest.WithPackage("testdata/enclave"),
		enclavetest.WithOptions(func(o *host.Options) { o.Socket = path }))
	return e, path
}

// run runs a mode of the test program to its end.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // and its children
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "ok\n") {
		t.Errorf("%s: %v\n%.4000s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// variants are the ways in which the C library is compiled.
var variants = []struct {
	name  string
	flags []string
}{
	{"plain", []string{"-O2"}},
	{"asan", []string{"-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"}},
	{"tsan", []string{"-O1", "-fsanitize=thread"}},
}

// TestClang is TestC with clang, in a shorter form.
func TestClang(t *testing.T) {
	cc, err := exec.LookPath("clang")
	if err != nil {
		t.Skip("clang is missing: apt-get install clang")
	}
	_, path := load(t)
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			program := buildBy(t, cc, v.flags...)
			for _, mode := range [][2]string{{"calls", ""}, {"threads", "100"}, {"cancel", "10"}, {"jump", "30"}, {"prefork", "30"}, {"forks-alone", "5"}} {
				t.Run(mode[0], func(t *testing.T) {
					skipUnderSanitizer(t, v.name, mode[0])
					run(t, program, mode[0], path, mode[1])
				})
			}
		})
	}
}

// skipUnderSanitizer skips what sanitizers don't support.
func skipUnderSanitizer(t *testing.T, variant, mode string) {
	t.Helper()
	if variant == "asan" && (mode == "forks" || mode == "cancel" || mode == "starve") {
		t.Skip("the address sanitizer survives neither forks among threads nor the unwinding of cancelled ones")
	}
	if variant == "tsan" && mode == "cancel" {
		t.Skip("open defect: on a busy machine the ring can fill with cancellations, which the library takes for a breach of the protocol")
	}
	if variant == "tsan" && (mode == "jump" || mode == "prefork" || strings.HasPrefix(mode, "forks")) {
		t.Skip("the thread sanitizer knows neither jumps out of handlers nor forks with threads")
	}
}

// TestC runs the C test program in each mode, compiled in each way.
func TestC(t *testing.T) {
	_, path := load(t)
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			program := build(t, v.flags...)
			for _, mode := range [][2]string{
				{"calls", ""}, {"threads", "300"}, {"cancel", "40"}, {"starve", "20"}, {"jump", "100"}, {"prefork", "120"}, {"forks", "10"}, {"forks-alone", "10"},
			} {
				t.Run(mode[0], func(t *testing.T) {
					skipUnderSanitizer(t, v.name, mode[0])
					run(t, program, mode[0], path, mode[1])
				})
			}
		})
	}
}

// TestCLosesEnclave: the enclave ends during a call.
func TestCLosesEnclave(t *testing.T) {
	_, path := load(t)
	run(t, build(t, "-O2"), "dies", path)
}
