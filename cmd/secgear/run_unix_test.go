//go:build unix

package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// runProject returns "secgear run" of a project whose host says "ready" and then
// what signals it gets, and the folder for temporary files.
func runProject(t *testing.T) (cmd *exec.Cmd, temp string) {
	t.Helper()
	dir := t.TempDir()
	temp = t.TempDir()
	for name, text := range map[string]string{
		"go.mod":               "module example.com/demo\n\ngo 1.26\n",
		"enclave/main.go":      "package main\n\nfunc main() {}\n",
		"enclave/secgear.json": `{"name": "demo"}`,
		"host/main.go": `package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
	fmt.Println("ready")
	for s := range signals {
		fmt.Println(s)
		if s == syscall.SIGTERM {
			os.Exit(9)
		}
	}
}
`,
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd = exec.Command("secgear", "run", dir) // TestMain put it into PATH
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+temp, "TMPDIR="+temp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal
	cmd.Stderr = os.Stderr
	return cmd, temp
}

// TestSignals sends signals to "secgear run" alone: the host gets them, and
// decides what they mean; nothing is left behind.
func TestSignals(t *testing.T) {
	cmd, temp := runProject(t)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	expect := func(want string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("host said %q, want %q (%v)", lines.Text(), want, lines.Err())
		}
	}
	expect("ready")
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGTERM} {
		if err := cmd.Process.Signal(s); err != nil {
			t.Error(err)
		}
		expect(s.String())
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 9 {
		t.Errorf("ended with %v, want status 9", err)
	}
	left, err := os.ReadDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if strings.HasPrefix(e.Name(), "secgear-") {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}
