package main

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKilledRun: kill -9 of "secgear run" takes the host with it, and the next run
// the folder that it left.
func TestKilledRun(t *testing.T) {
	cmd, temp := runProject(t)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("host said %q (%v)", lines.Text(), lines.Err())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if lines.Scan() { // until the host, which has the pipe too, is gone
		t.Errorf("host said %q", lines.Text())
	}
	cmd.Wait()
	left := folders(t, temp)
	if len(left) != 1 {
		t.Fatalf("it left %q", left)
	}
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(left[0], long, long); err != nil {
		t.Fatal(err)
	}
	again, _ := runProject(t)
	again.Env = append(again.Env, "TMPDIR="+temp)
	out, err = again.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	if lines = bufio.NewScanner(out); !lines.Scan() {
		t.Fatal(lines.Err())
	}
	if now := folders(t, temp); len(now) != 1 || now[0] == left[0] {
		t.Errorf("there are %q, left was %q", now, left)
	}
	if err := again.Process.Kill(); err != nil {
		t.Error(err)
	}
	again.Wait()
}

// folders lists what secgear has in the folder for temporary files.
func folders(t *testing.T, temp string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(temp, "secgear-*"))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, path := range all {
		if strings.HasPrefix(filepath.Base(path), "secgear-run-") || strings.HasPrefix(filepath.Base(path), "secgear-build-") {
			list = append(list, path)
		}
	}
	return list
}
