//go:build unix

package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestStateDirOfOthers: nothing is launched with the state in a folder that
// another user prepared or can change.
func TestStateDirOfOthers(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t *testing.T, dir string) error
		want string // part of the error; "": it is taken
	}{
		{"own", func(*testing.T, string) error { return nil }, ""},
		{"readable", func(_ *testing.T, dir string) error { return os.Chmod(dir, 0o755) }, ""},
		{"writable by all", func(_ *testing.T, dir string) error { return os.Chmod(dir, 0o777) }, "mode 0777"},
		{"as /tmp", func(_ *testing.T, dir string) error { return os.Chmod(dir, 0o777|os.ModeSticky) }, "mode 0777"},
		{"another user's", func(t *testing.T, dir string) error {
			if os.Geteuid() != 0 {
				t.Skip("only root can give folders away")
			}
			return os.Chown(dir, 12345, 12345)
		}, "belongs to user 12345"},
		{"a file", func(_ *testing.T, dir string) error {
			os.Remove(dir)
			return os.WriteFile(dir, nil, 0o600)
		}, "not a directory"},
		{"a link to one writable by all", func(_ *testing.T, dir string) error {
			if err := os.Rename(dir, dir+".real"); err != nil {
				return err
			}
			return errors.Join(os.Chmod(dir+".real", 0o777), os.Symlink(dir+".real", dir))
		}, "mode 0777"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeTEE{}
			o := testOptions(t, f)
			o.StateDir = filepath.Join(t.TempDir(), "state")
			if err := os.Mkdir(o.StateDir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := tt.make(t, o.StateDir); err != nil {
				t.Fatal(err)
			}
			e, err := LoadImage(t.Context(), testImage(1), o)
			if err == nil {
				e.Close()
			}
			if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || f.launched != 0) {
				t.Errorf("launched %d times: %v, want %q", f.launched, err, tt.want)
			}
		})
	}
}

// TestVersionsFileIsAFile: a pipe in place of the versions seen holds up nobody.
func TestVersionsFileIsAFile(t *testing.T) {
	f := &fakeTEE{}
	o := testOptions(t, f)
	if err := syscall.Mkfifo(filepath.Join(o.StateDir, versionsFile), 0o600); err != nil {
		t.Skipf("no named pipes here: %v", err)
	}
	if _, err := LoadImage(t.Context(), testImage(1), o); err == nil || !strings.Contains(err.Error(), "not a regular file") || f.launched != 0 {
		t.Errorf("launched %d times: %v", f.launched, err)
	}
}
