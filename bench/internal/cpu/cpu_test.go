package cpu

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestOn(t *testing.T) {
	cpus, err := Allowed()
	if err != nil || len(cpus) == 0 {
		t.Fatalf("allowed are %v, %v", cpus, err)
	}
	last := cpus[len(cpus)-1]
	var out bytes.Buffer
	cmd := exec.Command("grep", "Cpus_allowed_list", "/proc/self/status")
	cmd.Stdout = &out
	if err := On([]int{last}, cmd.Start); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if list := strings.Fields(out.String()); len(list) != 2 || list[1] != strings.TrimSpace(list[1]) || strings.ContainsAny(list[1], ",-") {
		t.Errorf("the process may run on %q, want %d alone", out.String(), last)
	}
	if again, err := Allowed(); err != nil || len(again) != len(cpus) {
		t.Errorf("afterwards allowed are %v, %v; want %v", again, err, cpus)
	}
	broken := errors.New("broken")
	if err := On([]int{last}, func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error is %v, want that of the start", err)
	}
}

func TestPair(t *testing.T) {
	if a, b, err := Pair([]int{0}); err == nil {
		t.Errorf("one processor makes the pair %d, %d", a, b)
	}
	cpus, err := Allowed()
	if err != nil {
		t.Fatal(err)
	}
	if len(cpus) < 2 {
		t.Skip("a second processor is missing")
	}
	if a, b, err := Pair(cpus); err != nil || a == b {
		t.Errorf("the pair is %d, %d, %v", a, b, err)
	}
}

func TestParseStat(t *testing.T) {
	line := "42 (a) b (c) S 7 42 42 0 -1 4194304 100 0 0 0 150 25 0 0 20 0 1 0 100 0 0"
	s, err := parseStat([]byte(line))
	if err != nil || s.parent != 7 || s.used != 1750*time.Millisecond {
		t.Errorf("got %+v, %v; want parent 7 and 1.75 s", s, err)
	}
	for _, bad := range []string{"", "42 (a", "42 (a) S 7", strings.Replace(line, "150", "x", 1)} {
		if s, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q read as %+v", bad, s)
		}
	}
}

func TestSum(t *testing.T) {
	stats := map[int]stat{
		1: {0, 100}, 10: {1, 7}, 11: {10, 5}, 12: {11, 3}, 20: {1, 1000},
		30: {31, 1}, 31: {30, 1}, // impossible, and no reason to hang
	}
	if used, n := sum(stats, 10); used != 15 || n != 3 {
		t.Errorf("process 10 and below used %d in %d processes, want 15 in 3", used, n)
	}
}

func TestTreeTime(t *testing.T) {
	used, n, err := TreeTime(os.Getpid())
	if err != nil || n < 1 || used < 0 {
		t.Errorf("this process used %v in %d processes, %v", used, n, err)
	}
	if _, _, err := TreeTime(-5); err == nil {
		t.Error("a process that isn't there was read")
	}
}
