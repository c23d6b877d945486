package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secgear/secgear/bench/internal/peer"
	"github.com/secgear/secgear/bench/internal/regime"
)

func TestMain(m *testing.M) {
	peer.Main(map[string]func() error{candidateRole: runCandidate})
	os.Exit(m.Run())
}

// actor is a contender that takes as long as its script says, in nanoseconds
// per call, and no time at all.
type actor struct {
	script map[string][]float64
	asked  []string
}

func (a *actor) Run(_ context.Context, work string, _ time.Duration) ([]float64, error) {
	a.asked = append(a.asked, work)
	numbers, ok := a.script[work]
	if !ok {
		return nil, fmt.Errorf("no work %q", work)
	}
	return numbers, nil
}

func (a *actor) Pid() int { return os.Getpid() }

// calls is what a slice of calls of ns each answers.
func calls(ns float64) []float64 { return []float64{100, 100 * ns, ns} }

// rehearsal is a stage of actors on which every goal is met by far, with the
// processors far from each other.
func rehearsal() *stage {
	slow := func(us float64) *actor {
		return &actor{script: map[string][]float64{
			"rtt64": calls(us * 1e3), "rtt4k": calls(2 * us * 1e3), "rtt1m": calls(40 * us * 1e3), "throughput16": calls(us * 1e3 / 4),
			"stream": calls(us * 1e3), "streams1000": calls(us * 1e3 / 4),
		}}
	}
	return &stage{
		limit: &actor{script: map[string][]float64{"limit": calls(400)}},
		secgear: &actor{script: map[string][]float64{
			"rtt64": calls(480), "rtt4k": calls(1000), "rtt1m": calls(200_000), "rtt1m_zerocopy": calls(100_000), "rtt1m_copied": calls(400_000),
			"throughput16": calls(240), "batch16": calls(60), "stream": calls(5000), "streams1000": calls(2500),
			"pauses_host": {1000, 20e3, 50e3, 900e3}, "pauses_enclave": {1000, 20e3, 60e3, 900e3},
			"allocations": {1e5, 0.0002, 0.00001}, "start": {25e6},
		}},
		peers: map[string][]contender{
			socket: {slow(60), slow(20)},
			rpc:    {slow(100), slow(200)},

			siteInside:  {&actor{script: map[string][]float64{peer.Requests: calls(100e3)}}},
			siteOutside: {&actor{script: map[string][]float64{peer.Requests: calls(90e3)}}},
			attachedC: {&actor{script: map[string][]float64{
				"rtt64": calls(440), "together8": calls(220), "together1": calls(440),
			}}},
		},
		burners:  []contender{&actor{script: map[string][]float64{"burn": nil, "rest": nil}}},
		progress: func(string, ...any) {},
		times:    times{idle: 20 * time.Millisecond},
	}
}

// perform measures on s in next to no time.
func perform(t *testing.T, s *stage, o options) map[string]line {
	t.Helper()
	o.seconds = time.Nanosecond
	lines := make(map[string]line)
	err := s.measure(t.Context(), o, func(l line) error {
		if _, twice := lines[l.Name]; twice {
			t.Errorf("%s was printed twice", l.Name)
		}
		lines[l.Name] = l
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// asked are the lines and goals that the benchmark was ordered to have.
var asked = map[string]*float64{
	"rtt64_over_limit": bound(1.3), "uds_over_rtt64": bound(25), "grpc_over_rtt64": bound(75), "uds_over_rtt4k": bound(8),
	"uds_over_rtt1m": bound(1.2), "throughput16_over_uds": bound(10), "throughput16_over_grpc": bound(50),
	"batch16_over_single": bound(6), "oversubscribed_over_uds": bound(1), "idle_cpu_percent": bound(1), "stw_p90_us": bound(200),
	"stream_over_uds": bound(1.5), "streams_1000_over_uds": bound(1), "https_over_tcp": bound(0.8),
	"c_rtt64_over_limit": bound(1.3), "attached_8_over_1": bound(0.9),
	"allocs_per_call": bound(0), "enclave_start_ms": nil, "rtt1m_zerocopy_over_uds": nil,
	"uds_over_rtt1m_copied": nil,
}

func bound(x float64) *float64 { return &x }

func TestEveryLine(t *testing.T) {
	lines := perform(t, rehearsal(), options{})
	values := map[string]float64{
		"rtt64_over_limit": 1.2, "uds_over_rtt64": 41.67, "grpc_over_rtt64": 208.3, "uds_over_rtt4k": 40, "uds_over_rtt1m": 4,
		"throughput16_over_uds": 20.83, "throughput16_over_grpc": 104.2, "batch16_over_single": 8, "oversubscribed_over_uds": 20.83,
		"stream_over_uds": 4, "streams_1000_over_uds": 2, "https_over_tcp": 0.9,
		"c_rtt64_over_limit": 1.1, "attached_8_over_1": 2,
		"stw_p90_us": 60, "allocs_per_call": 0, "enclave_start_ms": 25, "rtt1m_zerocopy_over_uds": 0.125,
		"uds_over_rtt1m_copied": 2,
	}
	for name, goal := range asked {
		l, ok := lines[name]
		if !ok || l.Value == nil {
			t.Errorf("%s: not measured: %+v", name, l)
			continue
		}
		if want, ok := values[name]; ok && *l.Value != want {
			t.Errorf("%s = %v, want %v", name, *l.Value, want)
		}
		if (l.Goal == nil) != (goal == nil) || goal != nil && *l.Goal != *goal {
			t.Errorf("%s: goal differs from what was asked for", name)
		}
		if (l.Met == nil) != (goal == nil) || l.Unit == "" || l.meaning == "" {
			t.Errorf("%s: incomplete: %+v", name, l)
		}
		if name != "idle_cpu_percent" && l.missed() { // of this very process, which is busy elsewhere
			t.Errorf("%s: %v misses the goal of %v", name, *l.Value, *l.Goal)
		}
	}
	for _, name := range allNames() {
		if _, ok := lines[name]; !ok {
			t.Errorf("%s is promised and was not printed", name)
		}
	}
}

func TestBestPlacement(t *testing.T) {
	s := rehearsal()
	l := perform(t, s, options{only: "uds_over_rtt64"})["uds_over_rtt64"]
	if l.Pairs < leastRounds || l.Regime != regime.Far {
		t.Errorf("%d pairs in regime %s", l.Pairs, l.Regime)
	}
	if slow, fast := len(s.peers[socket][0].(*actor).asked), len(s.peers[socket][1].(*actor).asked); slow >= fast {
		t.Errorf("the slower placement played %d times, the faster %d times", slow, fast)
	}
}

func TestOnly(t *testing.T) {
	for _, name := range []string{"batch16_over_single", "oversubscribed_over_uds", "stw_p90_us"} {
		lines := perform(t, rehearsal(), options{only: name})
		if _, ok := lines[name]; !ok || len(lines) != 1 {
			t.Errorf("asked for %s alone, got %d lines", name, len(lines))
		}
	}
}

func TestNear(t *testing.T) {
	s := rehearsal()
	s.limit.(*actor).script["limit"] = calls(105)
	s.secgear.(*actor).script["rtt64"] = calls(189)
	l := perform(t, s, options{only: "rtt64_over_limit"})["rtt64_over_limit"]
	if *l.Goal != 2 || *l.Value != 1.8 || l.missed() || l.Regime != regime.Near {
		t.Errorf("value %v, goal %v in regime %s; want 1.8 and 2 in near", *l.Value, *l.Goal, l.Regime)
	}
}

func TestMissed(t *testing.T) {
	s := rehearsal()
	script := s.secgear.(*actor).script
	script["rtt64"] = calls(30_000)
	delete(script, "rtt4k")
	script["allocations"] = []float64{1e5, 0, 2}
	lines := perform(t, s, options{})
	for _, name := range []string{"rtt64_over_limit", "uds_over_rtt64", "uds_over_rtt4k", "oversubscribed_over_uds", "allocs_per_call"} {
		if l := lines[name]; !l.missed() {
			t.Errorf("%s is not missed: %+v", name, l)
		}
	}
	if l := lines["uds_over_rtt4k"]; l.Value != nil || !strings.Contains(l.Error, `no work "rtt4k"`) {
		t.Errorf("a failed measurement reads as %+v", l)
	}
	if l := lines["throughput16_over_uds"]; l.missed() {
		t.Errorf("one failure spoiled another line: %+v", l)
	}
}

func TestWithoutLimit(t *testing.T) {
	s := rehearsal()
	s.limit, s.noLimit = nil, errors.New("no C compiler")
	lines := perform(t, s, options{})
	if l := lines["rtt64_over_limit"]; l.Value != nil || l.Error != "no C compiler" || !l.missed() {
		t.Errorf("without a limit its line is %+v", l)
	}
	if l := lines["uds_over_rtt64"]; l.Value == nil || l.Regime != regime.Unknown || l.missed() {
		t.Errorf("without a limit the others are %+v", l)
	}
}

func TestBurnersRest(t *testing.T) {
	s := rehearsal()
	delete(s.peers[socket][1].(*actor).script, "rtt64") // fails while burners burn
	perform(t, s, options{only: "oversubscribed_over_uds"})
	asked := s.burners[0].(*actor).asked
	if i := slices.Index(asked, "burn"); i < 0 || asked[len(asked)-1] != "rest" {
		t.Errorf("burners were told %v", asked)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := rehearsal()
	s.secgear = contenderFunc(func() ([]float64, error) { return nil, ctx.Err() })
	err := s.measure(ctx, options{}, func(l line) error { return fmt.Errorf("printed %s", l.Name) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that of the context", err)
	}
}

type contenderFunc func() ([]float64, error)

func (f contenderFunc) Run(context.Context, string, time.Duration) ([]float64, error) { return f() }

func TestShape(t *testing.T) {
	for _, words := range []bool{false, true} {
		var out bytes.Buffer
		p := printer{&out, words}
		s := rehearsal()
		if err := s.measure(t.Context(), options{seconds: 1}, p.print); err != nil {
			t.Fatal(err)
		}
		for text := range strings.Lines(out.String()) {
			if words && (text == "\n" || strings.HasPrefix(text, "# ")) {
				continue
			}
			var l struct {
				Name  string
				Value *float64
				Unit  string
				Goal  *float64
			}
			if err := json.Unmarshal([]byte(text), &l); err != nil || !strings.HasPrefix(text, `{"name":"`+l.Name+`","value":`) || l.Value == nil || l.Unit == "" {
				t.Errorf("%q: %v", text, err)
			}
		}
		if got := strings.Contains(out.String(), "goal at most 1.3: reached"); got != words {
			t.Errorf("words are %v, explained is %v:\n%s", words, got, out.String())
		}
	}
}

func TestRound(t *testing.T) {
	for x, want := range map[float64]float64{0: 0, 1.23456: 1.235, 123456: 123500, 0.000123456: 0.0001235, -98765: -98770} {
		if got := round(x); got != want {
			t.Errorf("round(%v) = %v, want %v", x, got, want)
		}
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string // of the error
	}{
		{nil, ""},
		{[]string{"-json", "-check", "-only", "stw_p90_us", "-seconds", "0.5"}, ""},
		{[]string{"-only", "speed"}, `no line "speed"; there are: rtt64_over_limit, `},
		{[]string{"-seconds", "0"}, "not between"},
		{[]string{"-seconds", "NaN"}, "not between"},
		{[]string{"more"}, `unexpected argument "more"`},
		{[]string{"-what"}, "not defined"},
	} {
		var stderr bytes.Buffer
		_, err := parseFlags(c.args, &stderr)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want %q", c.args, err, c.want)
		}
	}
}
