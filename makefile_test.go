package secgear_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMakeRunChecksFile: a FILE that can't be sealed is refused before anything
// is built, and one that can is not.
func TestMakeRunChecksFile(t *testing.T) {
	makeCommand, err := exec.LookPath("make")
	if err != nil {
		t.Skip("make is missing")
	}
	dir := t.TempDir()
	// Instead of Go, which a build begins with: it leaves a trace and fails.
	trace, stub := filepath.Join(dir, "trace"), filepath.Join(dir, "bin", "go")
	if err := os.Mkdir(filepath.Dir(stub), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stub, []byte("#!/bin/sh\necho built >"+trace+"\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(dir, "a 'file'")
	if err := os.WriteFile(good, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, file string
		built      bool
	}{
		{"missing", filepath.Join(dir, "nonexistent"), false},
		{"a folder", dir, false},
		{"a file", good, true},
		{"none", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			os.Remove(trace)
			cmd := exec.Command(makeCommand, "run", "FILE="+tt.file)
			cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(stub)+":"+os.Getenv("PATH"), "MAKEFLAGS=")
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("it ran:\n%s", out)
			}
			_, statErr := os.Stat(trace)
			if built := !errors.Is(statErr, os.ErrNotExist); built != tt.built {
				t.Errorf("a build was begun: %v, want %v:\n%s", built, tt.built, out)
			}
			if told := strings.Contains(string(out), "FILE="+tt.file+" is no file"); told == tt.built {
				t.Errorf("told %v:\n%s", told, out)
			}
		})
	}
}
