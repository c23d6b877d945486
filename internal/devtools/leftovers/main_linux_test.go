package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMain turns the test's own binary into the tool where a test asks for it:
// the tool waits for all children of its process, which a test must not.
func TestMain(m *testing.M) {
	if os.Getenv("LEFTOVERS_BE_THE_TOOL") == "1" {
		os.Unsetenv("LEFTOVERS_BE_THE_TOOL")
		main()
	}
	os.Exit(m.Run())
}

func TestLeftovers(t *testing.T) {
	tests := []struct {
		name   string
		script string
		status int
		report string // part of what is printed, or empty for nothing
	}{
		{"nothing", `true`, 0, ""},
		{"status is passed on", `exit 3`, 3, ""},
		{"killed by a signal", `kill -9 $$`, 137, ""},
		{"cleans up", `f=$(mktemp) && rm "$f"`, 0, ""},
		{"background process", `sleep 1000 &`, 1, ": sleep 1000"},
		{"process in a session of its own", `setsid sleep 1000 &`, 1, ": sleep 1000"},
		{"orphan of an orphan", `(sh -c 'sleep 1000 & sleep 1000' &)`, 1, ": sleep 1000"},
		{"ends within the grace period", `sleep 0.05 &`, 0, ""},
		{"temporary file", `touch "$TMPDIR/x"`, 1, "file tmp/x"},
		{"temporary folder without permission", `mkdir -p "$TMPDIR/x/y" && chmod 500 "$TMPDIR/x"`, 1, "folder tmp/x"},
		{"state", `mkdir "$XDG_STATE_HOME/secgear"`, 1, "folder state/secgear"},
		{"configuration", `mkdir "$XDG_CONFIG_HOME/secgear"`, 1, "folder conf/secgear"},
		{"the go command's own files", `go env GOROOT >/dev/null`, 0, ""},
		{"failure and leftover", `touch "$TMPDIR/x"; exit 4`, 4, "file tmp/x"},
		// An orphan that ended must be gone for whoever looks: no zombie.
		{"reaps orphans meanwhile", `pid=$(sh -c 'sleep 0 >/dev/null & echo $!'); while kill -0 "$pid" 2>/dev/null; do :; done`, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-grace", "500ms", "sh", "-c", tt.script)
			tmp := t.TempDir()
			cmd.Env = append(os.Environ(), "LEFTOVERS_BE_THE_TOOL=1", "TMPDIR="+tmp)
			out, _ := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != tt.status {
				t.Errorf("exit status %d, want %d", got, tt.status)
			}
			if tt.report == "" && len(out) > 0 {
				t.Errorf("printed %q, want nothing", out)
			}
			if !strings.Contains(string(out), tt.report) {
				t.Errorf("printed %q, want it to name %q", out, tt.report)
			}
			if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
				t.Errorf("the tool itself left %v (%v)", left, err)
			}
		})
	}
}

func TestSettled(t *testing.T) {
	for script, status := range map[string]int{
		`mkdir "$XDG_STATE_HOME/secgear" "$XDG_CONFIG_HOME/secgear"`: 0,
		`mkdir "$TMPDIR/secgear"`:                                    1,
		`mkdir "$XDG_RUNTIME_DIR/secgear"`:                           1,
	} {
		cmd := exec.Command(os.Args[0], "-settled", "sh", "-c", script)
		cmd.Env = append(os.Environ(), "LEFTOVERS_BE_THE_TOOL=1", "TMPDIR="+t.TempDir())
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != status {
			t.Errorf("%s: exit status %d, want %d\n%s", script, got, status, out)
		}
	}
}

func TestUsage(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LEFTOVERS_BE_THE_TOOL=1")
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 2 || !strings.HasPrefix(string(out), "usage: ") {
		t.Errorf("without a command: status %d, output %q; want 2 and the usage", cmd.ProcessState.ExitCode(), out)
	}
}
