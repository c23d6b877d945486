//go:build unix

package tempdir

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKilled: a folder whose process was killed goes with the next one; one in use,
// one that is new, a link and a folder with another prefix stay.
func TestKilled(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	killed := exec.Command("/proc/self/exe", "-test.run=^TestBeKilled$")
	killed.Env = append(os.Environ(), "BE_KILLED=1")
	out, err := killed.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.Start(); err != nil {
		t.Skip(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	left := strings.TrimSpace(line)
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed.Wait()
	used, err := New("secgear-a-")
	if err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(os.TempDir(), "secgear-a-new")
	other := filepath.Join(os.TempDir(), "secgear-b-old")
	for _, dir := range []string{fresh, other} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(os.TempDir(), "secgear-a-link")
	if err := os.Symlink(other, link); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-time.Hour)
	for _, dir := range []string{left, used.Path, other} {
		if err := os.Chtimes(dir, long, long); err != nil {
			t.Fatal(err)
		}
	}
	next, err := New("secgear-a-")
	if err != nil {
		t.Fatal(err)
	}
	for path, stays := range map[string]bool{left: false, used.Path: true, fresh: true, other: true, link: true, next.Path: true} {
		if _, err := os.Lstat(path); (err == nil) != stays {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, d := range []*Dir{used, next} {
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(d.Path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there", d.Path)
		}
	}
}

// TestBeKilled is the process that TestKilled kills.
func TestBeKilled(t *testing.T) {
	if os.Getenv("BE_KILLED") == "" {
		t.Skip("part of TestKilled")
	}
	d, err := New("secgear-a-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.Path, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString(d.Path + "\n")
	select {}
}
