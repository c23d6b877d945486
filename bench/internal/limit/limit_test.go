package limit

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/secgear/secgear/bench/internal/cpu"
	"github.com/secgear/secgear/bench/internal/drive"
)

func TestLimit(t *testing.T) {
	bin, err := Build(t.Context(), t.TempDir())
	if errors.Is(err, ErrNoCompiler) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	cpus, err := cpu.Allowed()
	if err != nil {
		t.Fatal(err)
	}
	if len(cpus) < 2 {
		t.Skip("a second processor is missing")
	}
	p, err := drive.Start("limit", Command(bin, cpus[0], cpus[1]), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	for range 3 {
		numbers, err := p.Run(t.Context(), "limit", 5*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		s, err := drive.AsSlice(numbers)
		if err != nil {
			t.Fatal(err)
		}
		if s.Median < 10 || s.Mean() < 10 {
			t.Errorf("%+v: no cache line goes to another processor and back in less than 10 ns", s)
		}
	}
}

func TestNoCompiler(t *testing.T) {
	t.Setenv("CC", "")
	t.Setenv("PATH", t.TempDir())
	if _, err := Build(t.Context(), t.TempDir()); !errors.Is(err, ErrNoCompiler) {
		t.Errorf("error is %v, want %v", err, ErrNoCompiler)
	}
}

func TestCompilerFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/broken", []byte("#!/bin/sh\necho no such option\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CC", dir+"/broken")
	if _, err := Build(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "no such option") {
		t.Errorf("error is %v, want what the compiler said", err)
	}
}
