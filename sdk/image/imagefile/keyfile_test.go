package imagefile_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image/imagefile"
)

func TestKeyFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "image.key")
	key, err := imagefile.CreateKey(name)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Size() != 32 || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("file %v, %v", info, err)
	}
	again, err := imagefile.ReadKey(name)
	if err != nil || !bytes.Equal(again.Secret(), key.Secret()) || imagefile.KeyIDOf(again) != imagefile.KeyIDOf(key) {
		t.Errorf("reading it back: %v", err)
	}
	if k, err := imagefile.CreateKey(name); !errors.Is(err, fs.ErrExist) || !k.IsZero() {
		t.Errorf("over itself: %v", err)
	}
	other, err := imagefile.CreateKey(name + "2")
	if err != nil || bytes.Equal(other.Secret(), key.Secret()) {
		t.Errorf("two keys are the same: %v", err)
	}
}

func TestKeyFileRefused(t *testing.T) {
	dir := t.TempDir()
	content := []byte("0123456789abcdef0123456789abcdef")
	for _, tt := range []struct {
		name string
		mode fs.FileMode
		data []byte
		want string // part of the error
	}{
		{"group", 0o640, content, "mode 0640"},
		{"world", 0o604, content, "mode 0604"},
		{"writable", 0o602, content, "mode 0602"},
		{"executable", 0o710, content, "mode 0710"},
		{"empty", 0o600, nil, "0 bytes"},
		{"short", 0o600, content[1:], "31 bytes"},
		{"text", 0o600, append(content[:32:32], '\n'), "33 bytes"},
		{"large", 0o600, make([]byte, 1<<20), "1048576 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.mode != 0o600 && runtime.GOOS == "windows" {
				t.Skip("Windows files have no such mode")
			}
			name := filepath.Join(dir, tt.name)
			if err := os.WriteFile(name, tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(name, tt.mode); err != nil {
				t.Fatal(err)
			}
			k, err := imagefile.ReadKey(name)
			if !errors.Is(err, imagefile.ErrKeyFile) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), name) || !k.IsZero() {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "0123456") {
				t.Errorf("the error shows the file: %v", err)
			}
		})
	}
	if _, err := imagefile.ReadKey(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := imagefile.ReadKey(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}
