package main

import (
	"strings"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/shm"
)

func TestSighting(t *testing.T) {
	now := host.Stats{Name: "vault", Stats: shm.Stats{Made: []shm.MethodStats{
		{Begun: 300, Failed: 2, Latency: shm.Latency{Count: 30, Buckets: []shm.Bucket{{LeNS: 256, Count: 20}, {LeNS: 4096, Count: 10}}}},
		{Begun: 5, InFlight: 1},
	}}}
	before := host.Stats{Stats: shm.Stats{Made: []shm.MethodStats{
		{Begun: 105, Latency: shm.Latency{Count: 20, Buckets: []shm.Bucket{{LeNS: 256, Count: 20}}}},
	}}}
	v := newSighting(host.Running{PID: 7, Stats: now}, before, true, 2*time.Second)
	if v.Calls != 305 || v.Failed != 2 || v.InFlight != 1 || v.CallsPerSecond != 100 || v.P50NS != 4096 {
		t.Errorf("%+v", v)
	}
	v = newSighting(host.Running{Stats: now}, host.Stats{}, false, 0)
	if v.CallsPerSecond != 0 || v.P50NS != 256 || v.P99NS != 4096 {
		t.Errorf("at first: %+v", v)
	}
}

var sightings = []sighting{
	{Name: "vault", PID: 12, TEE: "sim", CallsPerSecond: 1234567, P50NS: 310, P99NS: 1_500_000, Lanes: 1, LanesAllowed: 64, UptimeNS: 3.6e12, Debug: true},
	{Name: "other", PID: 12345, Error: "denied\x1b[2J"},
}

func TestTable(t *testing.T) {
	lines := table(sightings, 0)
	if len(lines) != 3 || !strings.HasSuffix(lines[0], "DEBUG") || !strings.HasSuffix(lines[1], "1h0m0s  yes") {
		t.Errorf("%q", lines)
	}
	if !strings.Contains(lines[1], "1.23M  310ns  1.5ms") {
		t.Errorf("%q", lines[1])
	}
	if !strings.HasPrefix(lines[2], "other  12345  denied") || strings.ContainsRune(lines[2], '\x1b') {
		t.Errorf("%q", lines[2])
	}
	for width := 1; width < 200; width++ {
		for _, l := range table(sightings, width) {
			if n := len([]rune(l)); n > width {
				t.Errorf("width %d: %d columns: %q", width, n, l)
			}
		}
	}
}

func TestFrame(t *testing.T) {
	f := frame(sightings, time.Unix(0, 0), 30, 4, false)
	if !strings.HasPrefix(f, "\x1b[H") || !strings.HasSuffix(f, "\x1b[K\x1b[J") || strings.Count(f, "\n") != 3 {
		t.Errorf("%q", f)
	}
	if strings.Contains(f, "\x1b[1m") || !strings.Contains(frame(sightings, time.Unix(0, 0), 0, 0, true), "\x1b[1mNAME") {
		t.Error("colour")
	}
}

func TestUnits(t *testing.T) {
	for ns, want := range map[uint64]string{0: "-", 320: "320ns", 1280: "1.28µs", 40_960: "41µs", 2_500_000: "2.5ms", 3e9: "3s"} {
		if got := brief(ns); got != want {
			t.Errorf("brief(%d) = %q, want %q", ns, got, want)
		}
	}
	for n, want := range map[float64]string{0: "0", 0.5: "0.5", 42: "42", 12_345: "12.3k", 3_400_000: "3.40M"} {
		if got := rate(n); got != want {
			t.Errorf("rate(%v) = %q, want %q", n, got, want)
		}
	}
}
