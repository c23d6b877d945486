// Package limit builds and describes the C program that plays cache lines
// between two processors: the limit that calls are held against. What it
// speaks is the line protocol of package drive.
package limit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

//go:embed c/limit.c
var source []byte

// ErrNoCompiler: the machine has no C compiler.
var ErrNoCompiler = errors.New("no C compiler: install gcc or clang, or name one in $CC")

// Build compiles the program into dir and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	cc, err := Compiler()
	if err != nil {
		return "", err
	}
	src, bin := filepath.Join(dir, "limit.c"), filepath.Join(dir, "limit")
	if err := os.WriteFile(src, source, 0o600); err != nil {
		return "", fmt.Errorf("writing the C program: %w", err)
	}
	if out, err := exec.CommandContext(ctx, cc, "-O2", "-o", bin, src).CombinedOutput(); err != nil {
		return "", fmt.Errorf("compiling the C program with %s: %w\n%s", cc, err, out)
	}
	return bin, nil
}

// Command returns the program at path, to play between processors a and b.
func Command(path string, a, b int) *exec.Cmd {
	return exec.Command(path, strconv.Itoa(a), strconv.Itoa(b))
}

// Compiler finds $CC, or the first of the usual names. Its error matches
// [ErrNoCompiler].
func Compiler() (string, error) {
	names := []string{"cc", "gcc", "clang"}
	if cc := os.Getenv("CC"); cc != "" {
		names = []string{cc}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoCompiler
}
