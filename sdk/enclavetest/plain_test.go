package enclavetest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestPlainStart: an enclave's program started as any other says what it is,
// and what to do.
func TestPlainStart(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skipf("enclaves are built for Linux, this is %s", runtime.GOOS)
	}
	program, err := compile(t, "testdata/echo")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "echo")
	if err := os.WriteFile(name, program, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("ended with %v, want status 2", err)
	}
	lines := strings.Split(stderr.String(), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "secgear: this program is an enclave") || !strings.HasPrefix(lines[1], "hint: ") {
		t.Errorf("said %q", stderr.String())
	}
}
