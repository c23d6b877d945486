package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/secgear/secgear/bench/internal/cpu"
)

// single is what is measured without taking turns: by asking secgear's side
// once.
type single struct {
	name    string
	unit    string
	goal    goal
	meaning string
	measure func(ctx context.Context, s *stage) (float64, map[string]any, error)
}

var singles = []single{
	{
		"idle_cpu_percent", "percent of one processor", atMost(1),
		"What the host process and the enclave use of a processor while nobody calls.", idle,
	},
	{
		"stw_p90_us", "us", atMost(200),
		"How long stopping all goroutines takes (what the garbage collector does now and then) while calls go on back to back, 90th percentile, on the worse of both sides.", pauses,
	},
	{
		"allocs_per_call", "objects", atMost(0),
		"What a call whose arguments and results are of fixed size allocates on the heap, whole objects, on the worse of both sides.", allocations,
	},
	{
		"enclave_start_ms", "ms",
		goal{},
		"How long it takes from asking for the enclave to the first call being possible, median.", starts,
	},
}

// run measures and makes the line. The error is the context's.
func (m single) run(ctx context.Context, s *stage) (line, error) {
	s.progress("%s", m.name)
	l := line{Name: m.name, Unit: m.unit, meaning: m.meaning}
	value, details, err := m.measure(ctx, s)
	if ctx.Err() != nil {
		return l, ctx.Err()
	}
	if err != nil {
		return l.fail(err, m.goal), nil
	}
	l.Details = details
	return l.judge(value, m.goal), nil
}

// ask has secgear's side work and wants n numbers.
func ask(ctx context.Context, s *stage, work string, d time.Duration, n int) ([]float64, error) {
	numbers, err := s.secgear.Run(ctx, work, d)
	if err != nil {
		return nil, err
	}
	if len(numbers) != n {
		return nil, fmt.Errorf("%s: %d numbers came back instead of %d", work, len(numbers), n)
	}
	return numbers, nil
}

func idle(ctx context.Context, s *stage) (float64, map[string]any, error) {
	if _, err := ask(ctx, s, "rtt64", 50*time.Millisecond, 3); err != nil { // it is in use, not fresh
		return 0, nil, err
	}
	p, ok := s.secgear.(interface{ Pid() int })
	if !ok {
		return 0, nil, fmt.Errorf("not a process")
	}
	if err := sleep(ctx, s.calm); err != nil {
		return 0, nil, err
	}
	before, _, err := cpu.TreeTime(p.Pid())
	if err != nil {
		return 0, nil, err
	}
	begin := time.Now()
	if err := sleep(ctx, s.idle); err != nil {
		return 0, nil, err
	}
	after, processes, err := cpu.TreeTime(p.Pid())
	if err != nil {
		return 0, nil, err
	}
	percent := 100 * float64(after-before) / float64(time.Since(begin))
	return percent, map[string]any{"processes": processes, "seconds": s.idle.Seconds()}, nil
}

func pauses(ctx context.Context, s *stage) (float64, map[string]any, error) {
	details := make(map[string]any)
	worst := 0.0
	for _, side := range []string{"host", "enclave"} {
		n, err := ask(ctx, s, "pauses_"+side, 1500*time.Millisecond, 4)
		if err != nil {
			return 0, nil, err
		}
		details[side+"_us"] = map[string]float64{"p50": round(n[1] / 1e3), "p90": round(n[2] / 1e3), "max": round(n[3] / 1e3)}
		details[side+"_pauses"] = n[0]
		worst = max(worst, n[2]/1e3)
	}
	return worst, details, nil
}

func allocations(ctx context.Context, s *stage) (float64, map[string]any, error) {
	n, err := ask(ctx, s, "allocations", 0, 3)
	if err != nil {
		return 0, nil, err
	}
	details := map[string]any{"host": round(n[1]), "enclave": round(n[2]), "calls": n[0]}
	return math.Floor(max(n[1], n[2])), details, nil
}

// startTimes is how many enclaves are started.
const startTimes = 10

func starts(ctx context.Context, s *stage) (float64, map[string]any, error) {
	var took []float64
	for range startTimes {
		n, err := ask(ctx, s, "start", 0, 1)
		if err != nil {
			return 0, nil, err
		}
		took = append(took, n[0]/1e6)
	}
	slices.Sort(took)
	median := (took[startTimes/2-1] + took[startTimes/2]) / 2
	return median, map[string]any{"min": round(took[0]), "max": round(took[startTimes-1]), "starts": startTimes}, nil
}
