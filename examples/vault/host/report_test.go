package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/tee"
)

func TestWrap(t *testing.T) {
	for text, want := range map[string]string{
		"":                   "",
		"one two three":      "one two|three",
		"a very-long-word b": "a|very-long-word|b",
		"1234567 8 90":       "1234567|8 90",
	} {
		if got := wrap(text, 8, "|"); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1024: "1 KiB", 256 << 10: "256 KiB", 3 << 19: "1.5 MiB"} {
		if got := size(n); got != want {
			t.Errorf("%d bytes are %q, want %q", n, got, want)
		}
	}
}

func TestQuantile(t *testing.T) {
	values := []float64{5, 1, 4, 2, 3, 10, 9, 8, 7, 6}
	for q, want := range map[float64]float64{0: 1, 0.5: 6, 0.9: 10, 1: 10} {
		if got := quantile(values, q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := newLatency([]time.Duration{1500}); got != (latency{1.5, 1.5}) {
		t.Errorf("1500 ns are %v", got)
	}
}

func TestInForce(t *testing.T) {
	if got := inForce([]tee.Protection{{Name: "a", Active: true}, {Name: "b"}, {Name: "c", Active: true}}); got != "a, c" {
		t.Errorf("got %q", got)
	}
	if got := inForce(nil); got != "nothing" {
		t.Errorf("got %q", got)
	}
}

// failingWriter fails.
type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// TestReportFails: a report that could not be written is no success.
func TestReportFails(t *testing.T) {
	mine := errors.New("mine")
	for _, asJSON := range []bool{false, true} {
		r := &report{out: failingWriter{mine}, asJSON: asJSON}
		r.printf("text")
		if err := r.end(); !errors.Is(err, mine) {
			t.Errorf("JSON %v: error %v, want %v", asJSON, err, mine)
		}
	}
}

// TestProgress: a terminal gets a line that is drawn again and taken away.
func TestProgress(t *testing.T) {
	var out strings.Builder
	p := &progress{out: &out, live: true}
	end := p.begin("sealing", 200)
	p.advance(50)
	if out.Len() > 0 {
		t.Errorf("shown too soon: %q", out.String())
	}
	p.shown = time.Time{}
	p.began = time.Now().Add(-time.Second)
	p.advance(50)
	if got := out.String(); !strings.HasPrefix(got, "\rsealing [###############...............]  50 %  ") || !strings.HasSuffix(got, " MiB/s\x1b[K") {
		t.Errorf("shown %q", got)
	}
	p.advance(1000)
	if p.at != p.total {
		t.Errorf("more than all: %d of %d", p.at, p.total)
	}
	out.Reset()
	end()
	if got := out.String(); got != "\r\x1b[K" {
		t.Errorf("ended with %q", got)
	}
}

// TestProgressLines: whatever is no terminal gets lines.
func TestProgressLines(t *testing.T) {
	var out strings.Builder
	p := &progress{out: &out}
	end := p.beginFor("comparing", time.Minute)
	p.reach(int64(time.Second))
	p.shown = time.Time{}
	p.reach(int64(15 * time.Second))
	end()
	if got, want := out.String(), "comparing …\ncomparing:  25 %\n"; got != want {
		t.Errorf("shown %q, want %q", got, want)
	}
}
