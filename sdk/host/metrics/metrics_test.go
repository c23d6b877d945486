package metrics

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/shm"
)

// sample is a stand-in for a busy enclave.
func sample() host.Stats {
	latency := shm.Latency{SampledEvery: 64, Count: 5, SumNS: 2500, Buckets: []shm.Bucket{{LeNS: 64, Count: 1}, {LeNS: 320, Count: 3}, {LeNS: 1 << 40, Count: 1}}}
	return host.Stats{
		Name: "demo", TEE: "sim", Started: time.UnixMilli(1500),
		Stats: shm.Stats{
			Made: []shm.MethodStats{
				{Contract: "example.com/demo.Greeter", Method: "Hello", Begun: 7, Failed: 1, Latency: latency},
				{Contract: "a \"quoted\\\nname\"\xff", Method: "Größe", Begun: 1},
			},
			Served: []shm.MethodStats{{Contract: "example.com/demo.Clock", Method: "Now", Begun: 3}},
			Parks:  9,
		},
	}
}

func exposition(t *testing.T, stats ...host.Stats) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, stats); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWrite(t *testing.T) {
	text := exposition(t, sample())
	for _, want := range []string{
		`secgear_calls_total{enclave="demo",direction="ecall",contract="example.com/demo.Greeter",method="Hello"} 7`,
		`secgear_calls_failed_total{enclave="demo",direction="ecall",contract="example.com/demo.Greeter",method="Hello"} 1`,
		`secgear_calls_total{enclave="demo",direction="ocall",contract="example.com/demo.Clock",method="Now"} 3`,
		`secgear_calls_total{enclave="demo",direction="ecall",contract="a \"quoted\\\nname\"` + "\uFFFD" + `",method="Größe"} 1`,
		`secgear_call_duration_seconds_bucket{enclave="demo",direction="ecall",contract="example.com/demo.Greeter",method="Hello",le="2.56e-07"} 1`,
		`secgear_call_duration_seconds_bucket{enclave="demo",direction="ecall",contract="example.com/demo.Greeter",method="Hello",le="5.12e-07"} 4`,
		`secgear_call_duration_seconds_bucket{enclave="demo",direction="ecall",contract="example.com/demo.Greeter",method="Hello",le="+Inf"} 5`,
		`secgear_call_duration_seconds_sum{enclave="demo",direction="ecall",contract="example.com/demo.Greeter",method="Hello"} 2.5e-06`,
		`secgear_parks_total{enclave="demo"} 9`,
		`secgear_enclave_start_time_seconds{enclave="demo"} 1.500`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("lacks %s", want)
		}
	}
}

// TestSameName: samples stay distinct.
func TestSameName(t *testing.T) {
	text := exposition(t, sample(), sample())
	if !strings.Contains(text, `secgear_parks_total{enclave="demo#2"} 9`) {
		t.Error("the second enclave is missing")
	}
	checkFormat(t, text)
}

var (
	helpLine   = regexp.MustCompile(`^# HELP ([a-z_]+) [^\\]+$`)
	typeLine   = regexp.MustCompile(`^# TYPE ([a-z_]+) (counter|gauge|histogram)$`)
	sampleLine = regexp.MustCompile(`^([a-z_]+)\{((?:[a-z_]+="(?:[^"\\]|\\\\|\\"|\\n)*",?)+)\} (\S+)$`)
)

// checkFormat holds text against the rules of the text format: HELP and TYPE
// once and before the samples, a metric's samples together, none twice, counters
// named _total, and buckets that grow and end with the count.
func checkFormat(t *testing.T, text string) {
	t.Helper()
	if !strings.HasSuffix(text, "\n") {
		t.Error("the last line has no end")
	}
	seen, kinds := map[string]bool{}, map[string]string{}
	family, last := "", 0.0
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if m := helpLine.FindStringSubmatch(line); m != nil {
			if kinds[m[1]] != "" {
				t.Errorf("twice: %s", line)
			}
			family = m[1]
			continue
		}
		if m := typeLine.FindStringSubmatch(line); m != nil {
			if m[1] != family || (m[2] == "counter") != strings.HasSuffix(m[1], "_total") {
				t.Errorf("unexpected: %s", line)
			}
			kinds[family] = m[2]
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("malformed: %s", line)
			continue
		}
		suffix, ok := strings.CutPrefix(m[1], family)
		if !ok || kinds[family] == "" || seen[m[1]+m[2]] || suffix != "" && kinds[family] != "histogram" {
			t.Errorf("out of place: %s", line)
		}
		seen[m[1]+m[2]] = true
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil || v < 0 {
			t.Errorf("value: %s", line)
		}
		first := strings.Contains(m[2], `le="`+seconds(bounds[0])+`"`)
		if (suffix == "_bucket" && !first || suffix == "_count") && v < last || suffix == "_count" && v != last {
			t.Errorf("buckets do not add up: %s after %v", line, last)
		}
		if suffix == "_bucket" {
			last = v
		}
	}
	if len(kinds) != len(families) {
		t.Errorf("%d metrics, want %d", len(kinds), len(families))
	}
}

func TestFormat(t *testing.T) {
	checkFormat(t, exposition(t, sample()))
	checkFormat(t, exposition(t))
}

// TestPromtool asks Prometheus's own tool, where it is installed.
func TestPromtool(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool (Debian: prometheus) is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool, "check", "metrics")
	cmd.Stdin = strings.NewReader(exposition(t, sample(), sample()))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) != 0 {
		t.Errorf("%v: %s", err, out)
	}
}

// TestBounds: each bound is an end of a lane's bucket, or counts would
// be off. These ends are at quarters of powers of two.
func TestBounds(t *testing.T) {
	if !slices.IsSorted(bounds) {
		t.Error("not sorted")
	}
	for _, b := range bounds {
		if b&(b-1) != 0 || b < 64 {
			t.Errorf("%d", b)
		}
	}
}

func TestHandler(t *testing.T) {
	h := Handler()
	for method, want := range map[string]int{http.MethodGet: 200, http.MethodHead: 200, http.MethodPost: 405} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "/metrics", nil))
		if w.Code != want {
			t.Errorf("%s: status %d", method, w.Code)
		}
		if want == 200 && w.Header().Get("Content-Type") != ContentType {
			t.Errorf("%s: %q", method, w.Header().Get("Content-Type"))
		}
	}
}
