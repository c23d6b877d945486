package drive

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestServe(t *testing.T) {
	works := map[string]Work{
		"double": func(d time.Duration) ([]float64, error) { return []float64{2 * d.Seconds(), 1.5}, nil },
		"fail":   func(time.Duration) ([]float64, error) { return nil, errors.New("two\nlines") },
		"none":   func(time.Duration) ([]float64, error) { return nil, nil },
	}
	for _, c := range []struct{ request, want string }{
		{"double 500", "ok 1 1.5"},
		{"fail 1", "err two lines"},
		{"none 0", "ok"},
		{"what 1", `err no work "what"`},
		{"double", `err malformed request "double"`},
		{"", `err malformed request ""`},
	} {
		var out strings.Builder
		if err := Serve(strings.NewReader(c.request+"\n"), &out, works); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != c.want+"\n" {
			t.Errorf("%q is answered %q, want %q", c.request, got, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		line string
		want []float64
		err  string
	}{
		{"ok 1 2.5 3e9", []float64{1, 2.5, 3e9}, ""},
		{"ok", nil, ""},
		{"err it broke", nil, "it broke"},
		{"ok x", nil, "malformed"},
		{"", nil, "malformed"},
		{"okay 1", nil, "malformed"},
	} {
		got, err := parse(c.line)
		if len(got) != len(c.want) || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("parse(%q) = %v, %v; want %v, error %q", c.line, got, err, c.want, c.err)
		}
	}
}

func TestCalls(t *testing.T) {
	calls := 0
	numbers, err := Calls(10, func(n int) error { calls += n; return nil })(3 * time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	s, err := AsSlice(numbers)
	if err != nil || s.Calls <= 0 || s.Calls > float64(calls) || s.Total < 3e6 && s.Calls < 10<<16 {
		t.Errorf("%+v, %v after %d calls", s, err, calls)
	}
	broken := errors.New("broken")
	if _, err := Calls(1, func(int) error { return broken })(time.Millisecond); !errors.Is(err, broken) {
		t.Errorf("error is %v, want %v", err, broken)
	}
}

func TestTogether(t *testing.T) {
	var calls [4]int
	numbers, err := Together(4, 5, func(i, n int) error { calls[i] += n; return nil })(2 * time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	s, err := AsSlice(numbers)
	sum := 0
	for i, n := range calls {
		if n == 0 {
			t.Errorf("caller %d never called", i)
		}
		sum += n
	}
	if err != nil || int(s.Calls) != sum || s.Total < 2e6 || s.Mean() != s.Median {
		t.Errorf("%+v, %v; callers counted %d calls", s, err, sum)
	}
	broken := errors.New("broken")
	if _, err := Together(2, 1, func(i, _ int) error {
		if i == 1 {
			return broken
		}
		return nil
	})(time.Millisecond); !errors.Is(err, broken) {
		t.Errorf("error is %v, want %v", err, broken)
	}
}

func TestAsSlice(t *testing.T) {
	for _, numbers := range [][]float64{nil, {1, 2}, {0, 1, 1}, {1, 0, 1}, {1, 2, 3, 4}} {
		if s, err := AsSlice(numbers); err == nil {
			t.Errorf("%v read as %+v", numbers, s)
		}
	}
}

// script starts a shell script as a process to be driven.
func script(t *testing.T, text string) *Process {
	t.Helper()
	p, err := Start("script", exec.Command("/bin/sh", "-c", text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProcess(t *testing.T) {
	p := script(t, `while read work ms; do case $work in fail) echo err "$ms";; *) echo ok "$ms" 7;; esac; done`)
	if numbers, err := p.Run(t.Context(), "any", 250*time.Millisecond); err != nil || len(numbers) != 2 || numbers[0] != 250 || numbers[1] != 7 {
		t.Errorf("answered %v, %v; want 250 and 7", numbers, err)
	}
	if _, err := p.Run(t.Context(), "fail", time.Millisecond); err == nil || err.Error() != "script: fail: 1" {
		t.Errorf("error is %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func TestProcessDies(t *testing.T) {
	p := script(t, `read line; exit 3`)
	_, err := p.Run(t.Context(), "any", 0)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("error is %v, want exit status 3", err)
	}
	if err := p.Close(); !errors.As(err, &exit) {
		t.Errorf("closing says %v, want exit status 3", err)
	}
}

func TestProcessCancelled(t *testing.T) {
	p := script(t, `read line; read line; echo ok 1`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Run(ctx, "any", 0); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that of the context", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := p.Run(ctx, "any", 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want that of the context", err)
	}
	if err := p.Close(); err != nil { // its late answer is in nobody's way
		t.Error(err)
	}
}

func TestStartFails(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	if _, err := Start("missing", exec.Command(missing), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v, want not exist", err)
	}
}
