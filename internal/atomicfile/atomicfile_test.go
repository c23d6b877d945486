package atomicfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/secgear/secgear/internal/atomicfile"
)

// names lists what is in dir, hidden files included.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	for _, text := range []string{"first", "second, longer", ""} {
		if err := atomicfile.Write(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != text {
			t.Errorf("read %q, %v", got, err)
		}
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("permissions %v", info.Mode())
	}
	if got := names(t, dir); !slices.Equal(got, []string{"file"}) {
		t.Errorf("directory holds %q", got)
	}
}

func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	if err := atomicfile.Write(filepath.Join(dir, "none", "file"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a missing directory: %v", err)
	}
	if err := atomicfile.Write(dir, nil, 0o600); err == nil {
		t.Error("over a directory: no error")
	}
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("directory holds %q", got)
	}
}

func TestWriteDevice(t *testing.T) {
	if err := atomicfile.Write(os.DevNull, []byte("x"), 0o600); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("%s is now %v, %v", os.DevNull, info.Mode(), err)
	}
}

// TestErrorsNameTheFile: what is told is the file that was asked for and what is
// wrong, never a temporary one.
func TestErrorsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	there, missing := filepath.Join(dir, "there"), filepath.Join(dir, "none", "file")
	if err := os.Mkdir(there, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		err  error
		is   error
		want string // beginning, and part of the rest
		rest string
	}{
		{atomicfile.Create(there, nil, 0o600), fs.ErrExist, "writing " + there + ": ", ""},
		{atomicfile.Create(missing, nil, 0o600), fs.ErrNotExist, "writing " + missing + ": ", "the folder " + filepath.Dir(missing) + " is missing"},
		{atomicfile.Write(missing, nil, 0o600), fs.ErrNotExist, "writing " + missing + ": ", "the folder " + filepath.Dir(missing) + " is missing"},
	} {
		text := fmt.Sprint(tt.err)
		if !errors.Is(tt.err, tt.is) || !strings.HasPrefix(text, tt.want) || !strings.Contains(text, tt.rest) || strings.Contains(text, ".secgear-") {
			t.Errorf("error %q, want %q and %q", text, tt.want, tt.rest)
		}
	}
}

// TestCreateOnce lets several create the same file: one of them does.
func TestCreateOnce(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = atomicfile.Create(name, bytes.Repeat([]byte{byte(i)}, 1000), 0o600) })
	}
	wg.Wait()
	made := -1
	for i, err := range errs {
		switch {
		case err == nil && made < 0:
			made = i
		case !errors.Is(err, fs.ErrExist):
			t.Errorf("attempt %d: %v", i, err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil || made < 0 || !bytes.Equal(got, bytes.Repeat([]byte{byte(made)}, 1000)) {
		t.Errorf("made by %d, read %d bytes, %v", made, len(got), err)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"file"}) {
		t.Errorf("directory holds %q", got)
	}
}
