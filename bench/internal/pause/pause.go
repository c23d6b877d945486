// Package pause measures how long it takes to stop all goroutines of a program
// (as the garbage collector must, now and then), which a goroutine that spins
// without letting itself be interrupted would delay.
package pause

import (
	"context"
	"runtime"
	"runtime/metrics"
	"time"
)

// metric is the runtime's own clock, from the wish to stop until all have. A
// clock around the call would count as well how long the goroutine that measures
// waits for a processor once the others, of which some spin, go on again.
const metric = "/sched/pauses/stopping/other:seconds"

// Measure stops all goroutines of this program n times, resting in between, and
// returns how long stopping took each time, rounded up to what the runtime tells
// apart (a quarter).
func Measure(ctx context.Context, n int, rest time.Duration) ([]time.Duration, error) {
	var (
		stats runtime.MemStats
		took  = make([]time.Duration, 0, n)
		timer = time.NewTicker(max(rest, time.Microsecond))
		seen  = pauses{sample: []metrics.Sample{{Name: metric}}}
	)
	defer timer.Stop()
	seen.added(nil)
	for len(took) < n {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return took, ctx.Err()
		}
		runtime.ReadMemStats(&stats) // stops the world
		took = seen.added(took)
	}
	return took[:n], nil
}

// pauses is the runtime's histogram of pauses.
type pauses struct {
	sample []metrics.Sample
	counts []uint64 // when it was last read
}

// added appends the pauses since the last time.
func (p *pauses) added(took []time.Duration) []time.Duration {
	metrics.Read(p.sample)
	h := p.sample[0].Value.Float64Histogram()
	for i, n := range h.Counts {
		if i < len(p.counts) {
			n -= p.counts[i]
			for range n {
				took = append(took, time.Duration(h.Buckets[i+1]*1e9))
			}
		}
	}
	p.counts = append(p.counts[:0], h.Counts...)
	return took
}
