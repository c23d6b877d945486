// Package metrics shows the numbers of enclaves to Prometheus, and to whatever
// else reads its text format:
//
//	http.Handle("/metrics", metrics.Handler(e))
//
// docs/watching.md lists the metrics. They are of the calling process's lanes,
// as [host.Enclave.Stats] has them. Durations are a histogram of the calls that
// were timed, each of which stands for those before it.
package metrics

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/shm"
)

// ContentType is the type of what Write writes: Prometheus's text exposition
// format, version 0.0.4.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Handler serves the metrics of enclaves. Where they may be read from is for
// whoever mounts it to decide: they tell which methods are called, how often and
// how long they take.
func Handler(enclaves ...*host.Enclave) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "metrics are read with GET", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", ContentType)
		_ = Write(w, enclaves...) // a reader that went away
	})
}

// Write writes the metrics of enclaves in Prometheus's text format. The second
// of several enclaves of one name is called NAME#2, and so on.
func Write(w io.Writer, enclaves ...*host.Enclave) error {
	stats := make([]host.Stats, len(enclaves))
	for i, e := range enclaves {
		stats[i] = e.Stats()
	}
	return write(w, stats)
}

func write(w io.Writer, stats []host.Stats) error {
	p := page{names: distinct(stats), stats: stats}
	for _, f := range families {
		p.family(f)
	}
	_, err := w.Write(p.out.Bytes())
	return err
}

// distinct returns a name for each enclave.
func distinct(stats []host.Stats) []string {
	names := make([]string, len(stats))
	seen := make(map[string]int)
	for i, s := range stats {
		names[i] = s.Name
		if seen[s.Name]++; seen[s.Name] > 1 {
			names[i] += "#" + strconv.Itoa(seen[s.Name])
		}
	}
	return names
}

// page is an exposition in the making.
type page struct {
	out   bytes.Buffer
	names []string
	stats []host.Stats
	name  string // of the family being written
}

// family writes one metric of all enclaves: the format wants them together.
func (p *page) family(f family) {
	p.name = f.name
	fmt.Fprintf(&p.out, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.kind)
	for i := range p.stats {
		f.write(p, &p.stats[i], labels{{"enclave", p.names[i]}})
	}
}

// labels are names with values, in order.
type labels [][2]string

func (l labels) with(name, value string) labels {
	return append(l[:len(l):len(l)], [2]string{name, value})
}

var escaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func (l labels) String() string {
	var b strings.Builder
	for i, kv := range l {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(kv[0] + `="` + escaper.Replace(strings.ToValidUTF8(kv[1], "\uFFFD")) + `"`)
	}
	return b.String()
}

// sample writes one value.
func (p *page) sample(suffix string, l labels, value string) {
	fmt.Fprintf(&p.out, "%s%s{%s} %s\n", p.name, suffix, l, value)
}

func (p *page) count(l labels, n uint64) { p.sample("", l, strconv.FormatUint(n, 10)) }

// seconds writes nanoseconds as seconds.
func seconds(ns uint64) string { return strconv.FormatFloat(float64(ns)/1e9, 'g', -1, 64) }

// bounds are the upper bounds of the histogram's buckets in nanoseconds: powers
// of two, which are ends of the lanes' own buckets.
var bounds = []uint64{
	1 << 7, 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16,
	1 << 17, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26, 1 << 28, 1 << 30, 1 << 32, 1 << 34,
}

// histogram writes durations.
func (p *page) histogram(l labels, h shm.Latency) {
	total, i := uint64(0), 0
	for _, bound := range bounds {
		for i < len(h.Buckets) && h.Buckets[i].LeNS <= bound {
			total += h.Buckets[i].Count
			i++
		}
		p.sample("_bucket", l.with("le", seconds(bound)), strconv.FormatUint(total, 10))
	}
	p.sample("_bucket", l.with("le", "+Inf"), strconv.FormatUint(h.Count, 10))
	p.sample("_sum", l, seconds(h.SumNS))
	p.sample("_count", l, strconv.FormatUint(h.Count, 10))
}
