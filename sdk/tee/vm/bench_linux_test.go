package vm

import (
	"slices"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/teetest"
)

// BenchmarkCall measures short calls into a machine. Where processors are busy or
// few, the quantiles tell more than the mean.
func BenchmarkCall(b *testing.B) {
	backend := available(b)
	m := teetest.Manifest()
	m.Name = "callee"
	e, err := host.LoadImage(b.Context(), teetest.Image(b, m, teetest.BuildCallee(b, "amd64"), 1), host.Options{
		Backends: []tee.Backend{backend}, TEE: backend.Name(), StateDir: b.TempDir(), Socket: "none",
	})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	var took []time.Duration
	for b.Loop() {
		begin := time.Now()
		if _, err := ask(b.Context(), e, 0, "echo x"); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	for _, q := range []struct {
		unit string
		at   int
	}{{"p1-ns", 1}, {"p10-ns", 10}, {"p50-ns", 50}} {
		b.ReportMetric(float64(took[len(took)*q.at/100]), q.unit)
	}
	stats := e.Stats()
	b.ReportMetric(float64(stats.SpinsPaid)/float64(len(took)), "spins-paid/call")
	b.ReportMetric(float64(stats.WakesSent)/float64(len(took)), "wakes/call")
}
