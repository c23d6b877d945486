package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/secgear/secgear/sdk/image/reference/ovmf/ovmftest"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/all"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"secgear": main})
}

// TestScripts runs testdata/script/*.txt: the contract of the command line.
func TestScripts(t *testing.T) {
	env, err := goSettings()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Condition: func(name string) (bool, error) {
			if name != "tee" { // this machine can run enclaves
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return slices.ContainsFunc(all.Backends(), func(b tee.Backend) bool { return b.Probe().Available }), nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"firmware": firmware, "flip": flip, "only": only, "status": status},
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, env...)
			for _, name := range []string{"config", "state", "tmp"} {
				if err := os.Mkdir(filepath.Join(e.WorkDir, name), 0o700); err != nil {
					return err
				}
			}
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
			e.Setenv("SECGEAR_STATE", filepath.Join(e.WorkDir, "state"))
			e.Setenv("TMPDIR", filepath.Join(e.WorkDir, "tmp"))
			return nil
		},
	})
}

// goSettings returns the go command's settings that scripts, which have no home
// directory, need.
func goSettings() ([]string, error) {
	names := []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOTOOLCHAIN"}
	out, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	env := []string{"GOFLAGS=-buildvcs=false", "GOENV=off"}
	for i, value := range strings.Split(strings.TrimRight(string(out), "\n"), "\n") {
		env = append(env, names[i]+"="+value)
	}
	return env, nil
}

// firmware makes a firmware and a folder with a kernel and its modules, of which
// nothing could run: firmware FILE DIR.
func firmware(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: firmware FILE DIR")
	}
	dir := ts.MkAbs(args[1])
	ts.Check(os.MkdirAll(filepath.Join(dir, "modules"), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), ovmftest.Default().Build(), 0o644))
	ts.Check(os.WriteFile(filepath.Join(dir, "vmlinuz"), ovmftest.Kernel(1), 0o644))
	for _, name := range []string{"configfs", "tsm", "sev-guest", "tdx-guest"} {
		ts.Check(os.WriteFile(filepath.Join(dir, "modules", name+".ko"), []byte(name), 0o644))
	}
}

// flip changes one byte of a file: flip FILE OFFSET, from the end if negative.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	name := ts.MkAbs(args[0])
	data, err := os.ReadFile(name)
	ts.Check(err)
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	if at < 0 {
		at += len(data)
	}
	data[at] ^= 1
	ts.Check(os.WriteFile(name, data, 0o644))
}

// only fails unless a directory holds exactly these names, hidden ones included:
// only DIR [NAME …].
func only(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: only DIR [NAME …]")
	}
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	want := slices.Sorted(slices.Values(args[1:]))
	if !slices.Equal(names, want) {
		ts.Fatalf("%s holds %q instead of %q", args[0], names, want)
	}
}

// status runs secgear and fails unless it ends with a certain status:
// status STATUS ARGUMENT …. Its output can be looked at as after exec.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: status STATUS ARGUMENT …")
	}
	err := ts.Exec("secgear", args[1:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("status %d instead of %s", got, args[0])
	}
}

// TestInterrupted: a build that is interrupted says so, and writes nothing.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{
		"go.mod": "module example.com/demo\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() {}\n", "secgear.json": `{"name": "demo"}`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	said, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := execute(ctx, []string{"build"}, said, said); got != 1 {
		t.Errorf("status %d", got)
	}
	if text, err := os.ReadFile(said.Name()); err != nil || string(text) != "secgear: interrupted\n" {
		t.Errorf("said %q, %v", text, err)
	}
	if left, err := filepath.Glob("*"); err != nil || len(left) != 3 {
		t.Errorf("directory holds %q, %v", left, err)
	}
}
