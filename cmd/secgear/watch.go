package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/shm"
)

// sighting is a running enclave in the output of "secgear ps" and "secgear top".
// The names of its fields in JSON are stable.
type sighting struct {
	Name            string  `json:"name"`
	TEE             string  `json:"tee,omitempty"`
	PID             int     `json:"pid"`
	Socket          string  `json:"socket"`
	Digest          string  `json:"digest,omitempty"`
	UptimeNS        int64   `json:"uptime_ns"`
	SecurityVersion uint32  `json:"security_version"`
	Debug           bool    `json:"debug"`
	Calls           uint64  `json:"calls"`            // on all lanes, since it runs, as the enclave says; without its word its owner's only
	Failed          uint64  `json:"failed"`           // of them
	InFlight        uint64  `json:"in_flight"`        // of them
	CallsPerSecond  float64 `json:"calls_per_second"` // since the last look
	P50NS           uint64  `json:"p50_ns"`           // of its owner's calls since the last look, if there were any that were timed, else of all
	P99NS           uint64  `json:"p99_ns"`
	Streams         int     `json:"streams"` // open, on all lanes, as the enclave says; without its word its owner's only
	Workers         int     `json:"workers"` // on the host's side
	WorkersAllowed  int     `json:"workers_allowed"`
	Lanes           int     `json:"lanes"`
	LanesAllowed    int     `json:"lanes_allowed"`
	ArenaNowBytes   int     `json:"arena_now_bytes"` // of the owner's
	ArenaSizeBytes  int     `json:"arena_size_bytes"`
	MemoryBytes     uint64  `json:"memory_bytes"` // of the enclave's runtime, its word; 0: it does not tell
	MemoryAllowed   uint64  `json:"memory_allowed_bytes"`
	Goroutines      int     `json:"goroutines"`      // in the enclave, its word
	EnclaveWorkers  int     `json:"enclave_workers"` // on the enclave's side, its word
	Error           string  `json:"error,omitempty"` // why the rest is missing
}

// watcher looks at the running enclaves again and again.
type watcher struct {
	at   time.Time
	last map[string]host.Stats // by socket
}

// look lists the running enclaves.
func (w *watcher) look(ctx context.Context) ([]sighting, error) {
	running, err := host.FindRunning(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding running enclaves: %w", err)
	}
	now := time.Now()
	since := now.Sub(w.at)
	next := make(map[string]host.Stats)
	list := make([]sighting, 0, len(running))
	for _, r := range running {
		if r.Err != nil {
			list = append(list, sighting{Name: r.Name, PID: r.PID, Socket: r.Socket, Error: r.Err.Error()})
			continue
		}
		before, seen := w.last[r.Socket]
		if !seen || !before.Started.Equal(r.Stats.Started) {
			before = host.Stats{}
		}
		list = append(list, newSighting(r, before, seen, since))
		next[r.Socket] = r.Stats
	}
	w.at, w.last = now, next
	return list, nil
}

// newSighting describes an enclave whose numbers were those of before some time
// ago, if it was seen then.
func newSighting(r host.Running, before host.Stats, seen bool, since time.Duration) sighting {
	s := r.Stats
	v := sighting{
		Name: s.Name, TEE: s.TEE, PID: r.PID, Socket: r.Socket, Digest: s.Digest.String(),
		UptimeNS: s.UptimeNS, SecurityVersion: s.SecurityVersion, Debug: s.Debug,
		Workers: s.Workers, WorkersAllowed: s.WorkersAllowed, Lanes: s.Lanes, LanesAllowed: s.LanesAllowed,
		Streams: s.Streams, ArenaNowBytes: s.ArenaNowBytes, ArenaSizeBytes: s.ArenaSizeBytes, MemoryAllowed: s.MemoryAllowedBytes,
	}
	if in := s.Inside; in != nil {
		v.MemoryBytes, v.Goroutines, v.EnclaveWorkers, v.Streams = in.MemoryBytes, in.Goroutines, in.Workers, in.Streams
	}
	var earlier uint64
	for _, m := range calls(s) {
		v.Calls += m.Begun
		v.Failed += m.Failed
		v.InFlight += m.InFlight
	}
	for _, m := range calls(before) {
		earlier += m.Begun
	}
	var all, old shm.Latency
	for _, m := range s.Made {
		all = all.Plus(m.Latency)
	}
	for _, m := range before.Made {
		old = old.Plus(m.Latency)
	}
	if seen && since > 0 && v.Calls >= earlier {
		v.CallsPerSecond = float64(v.Calls-earlier) / since.Seconds()
	}
	if recent := all.Since(old); seen && recent.Count > 0 {
		all = recent
	}
	v.P50NS, v.P99NS = all.P50NS, all.P99NS
	return v
}

// calls are those that the enclave says to have served on all lanes; without its
// word they are those that its owner made.
func calls(s host.Stats) []shm.MethodStats {
	if s.Inside != nil {
		return s.Inside.Served
	}
	return s.Made
}

// column is one column of a table of sightings.
type column struct {
	title string
	right bool // aligned
	value func(*sighting) string
}

// columns in the order of their importance: narrow terminals lack the last ones.
var columns = []column{
	{"NAME", false, func(s *sighting) string { return s.Name }},
	{"PID", true, func(s *sighting) string { return fmt.Sprint(s.PID) }},
	{"TEE", false, func(s *sighting) string { return s.TEE }},
	{"CALLS/S", true, func(s *sighting) string { return rate(s.CallsPerSecond) }},
	{"P50", true, func(s *sighting) string { return brief(s.P50NS) }},
	{"P99", true, func(s *sighting) string { return brief(s.P99NS) }},
	{"FAILED", true, func(s *sighting) string { return fmt.Sprint(s.Failed) }},
	{"BUSY", true, func(s *sighting) string { return fmt.Sprint(s.InFlight) }},
	{"STREAMS", true, func(s *sighting) string { return fmt.Sprint(s.Streams) }},
	{"LANES", true, func(s *sighting) string { return fmt.Sprintf("%d/%d", s.Lanes, s.LanesAllowed) }},
	{"ARENA", true, func(s *sighting) string { return size(uint64(s.ArenaNowBytes)) }},
	{"MEMORY", true, func(s *sighting) string {
		if s.MemoryBytes == 0 {
			return "-"
		}
		return size(s.MemoryBytes)
	}},
	{"WORKERS", true, func(s *sighting) string {
		if s.EnclaveWorkers == 0 {
			return "-"
		}
		return fmt.Sprint(s.EnclaveWorkers)
	}},
	{"VERSION", true, func(s *sighting) string { return fmt.Sprint(s.SecurityVersion) }},
	{"UPTIME", true, func(s *sighting) string { return time.Duration(s.UptimeNS).Truncate(time.Second).String() }},
	{"DEBUG", false, func(s *sighting) string {
		if s.Debug {
			return "yes"
		}
		return "no"
	}},
}

// rate writes a number per second shortly.
func rate(perSecond float64) string {
	switch {
	case perSecond >= 1e6:
		return fmt.Sprintf("%.2fM", perSecond/1e6)
	case perSecond >= 1e4:
		return fmt.Sprintf("%.1fk", perSecond/1e3)
	case perSecond >= 10 || perSecond == 0:
		return fmt.Sprintf("%.0f", perSecond)
	}
	return fmt.Sprintf("%.1f", perSecond)
}

// brief writes a duration with three digits at most; none as "-".
func brief(ns uint64) string {
	switch v := float64(ns); {
	case ns == 0:
		return "-"
	case ns < 1e3:
		return fmt.Sprintf("%dns", ns)
	case ns < 1e6:
		return fmt.Sprintf("%.3gµs", v/1e3)
	case ns < 1e9:
		return fmt.Sprintf("%.3gms", v/1e6)
	}
	return fmt.Sprintf("%.3gs", float64(ns)/1e9)
}

// table writes sightings as lines no wider than width (0: as wide as they are),
// of which the first is the heading. Columns that don't fit are left out, the
// last ones first.
func table(list []sighting, width int) []string {
	var widths []int
	total := 0
	for _, c := range columns {
		w := len(c.title)
		for i := range list {
			if list[i].Error == "" || c.title == "NAME" || c.title == "PID" {
				w = max(w, len([]rune(c.value(&list[i]))))
			}
		}
		if total += w + 2; width > 0 && total-2 > width && len(widths) > 0 {
			break
		}
		widths = append(widths, w)
	}
	lines := []string{line(widths, nil)}
	for i := range list {
		lines = append(lines, line(widths, &list[i]))
	}
	for i := range lines {
		if r := []rune(lines[i]); width > 0 && len(r) > width {
			lines[i] = string(r[:width])
		}
	}
	return lines
}

// line writes one line of a table: the heading if s is nil.
func line(widths []int, s *sighting) string {
	var b strings.Builder
	for i, w := range widths {
		c := columns[i]
		text := c.title
		if s != nil {
			if text = c.value(s); s.Error != "" && i >= 2 {
				return strings.TrimRight(b.String(), " ") + "  " + printable(s.Error)
			}
		}
		pad := strings.Repeat(" ", max(0, w-len([]rune(text))))
		if i > 0 {
			b.WriteString("  ")
		}
		if c.right {
			b.WriteString(pad + text)
		} else {
			b.WriteString(text + pad)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// busiestFirst sorts by calls per second, then by name and process.
func busiestFirst(list []sighting) {
	slices.SortStableFunc(list, func(a, b sighting) int {
		switch {
		case a.CallsPerSecond > b.CallsPerSecond:
			return -1
		case a.CallsPerSecond < b.CallsPerSecond:
			return 1
		}
		return 0
	})
}
