package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/secgear/secgear/bench/internal/cpu"
	"github.com/secgear/secgear/bench/internal/limit"
)

// TestRun is the whole benchmark, of a line that needs all kinds of
// contenders, with the enclave in the simulation.
func TestRun(t *testing.T) {
	requireTwo(t)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-json", "-only", "grpc_over_rtt64", "-seconds", "0.05"}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	var l line
	if err := json.Unmarshal(stdout.Bytes(), &l); err != nil {
		t.Fatalf("%q: %v", stdout.String(), err)
	}
	if l.Name != "grpc_over_rtt64" || l.Error != "" || l.Value == nil || *l.Value <= 0 {
		t.Errorf("printed %s", stdout.String())
	}
	nothingLeft(t, temp)
}

// TestRunInterrupted ends the benchmark in the middle.
func TestRunInterrupted(t *testing.T) {
	requireTwo(t)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	ctx, cancel := context.WithCancel(t.Context())
	s, end, err := open(ctx, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	time.AfterFunc(50*time.Millisecond, cancel)
	err = s.measure(ctx, options{seconds: time.Hour}, func(l line) error { return fmt.Errorf("printed %s", l.Name) })
	if err == nil || ctx.Err() == nil || time.Since(began) > time.Minute {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	nothingLeft(t, temp)
}

// TestRunWithoutCompiler: the benchmark goes on, and the line that needs the
// compiler says what is missing.
func TestRunWithoutCompiler(t *testing.T) {
	t.Setenv("CC", "no-such-compiler")
	var stderr bytes.Buffer
	s := &stage{stderr: &stderr}
	if err := s.openLimit(t.Context(), new(cast), t.TempDir(), 0, 1); err != nil {
		t.Fatal(err)
	}
	if s.limit != nil || !errors.Is(s.noLimit, limit.ErrNoCompiler) || !strings.Contains(stderr.String(), "no C compiler") {
		t.Errorf("limit %v, missing because of %v; said %q", s.limit, s.noLimit, stderr.String())
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-h"}, 0, "-only"},
		{[]string{"-only", "speed"}, 2, "calls: no line"},
		{[]string{"-seconds", "x"}, 2, "calls: invalid value"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), c.args, &stdout, &stderr); code != c.code || !strings.Contains(stderr.String(), c.want) || stdout.Len() > 0 {
			t.Errorf("%q: exit code %d: %s", c.args, code, stderr.String())
		}
	}
}

func requireTwo(t *testing.T) {
	t.Helper()
	cpus, err := cpu.Allowed()
	if err != nil {
		t.Fatal(err)
	}
	if len(cpus) < 2 {
		t.Skip("a second processor is missing")
	}
}

// nothingLeft checks that neither processes nor files remain.
func nothingLeft(t *testing.T, temp string) {
	t.Helper()
	if _, n, err := cpu.TreeTime(os.Getpid()); err != nil || n != 1 {
		t.Errorf("%d processes remain, %v; want this one", n, err)
	}
	left, err := os.ReadDir(temp)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
