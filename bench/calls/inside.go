package main

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/secgear/secgear/bench/internal/pause"
	"github.com/secgear/secgear/bench/internal/regime"
)

// rest is the time between two pauses.
const rest = time.Millisecond

// hostPauses stops this program again and again for about d while a goroutine
// calls back to back. It returns count, median, 90th percentile and maximum.
func (c caller) hostPauses(d time.Duration) ([]float64, error) {
	return c.whileCalling(func() ([]time.Duration, error) {
		return pause.Measure(c.ctx, int(d/rest), rest)
	})
}

// enclavePauses does so in the enclave.
func (c caller) enclavePauses(d time.Duration) ([]float64, error) {
	return c.whileCalling(func() ([]time.Duration, error) {
		return c.to.Pauses(c.ctx, int(d/rest), rest)
	})
}

// whileCalling measures while a goroutine calls back to back.
func (c caller) whileCalling(measure func() ([]time.Duration, error)) ([]float64, error) {
	ctx, stop := context.WithCancel(c.ctx)
	called := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if err := c.echo64(100); err != nil {
				called <- err
				return
			}
		}
		called <- nil
	}()
	took, err := measure()
	stop()
	if err := errors.Join(err, <-called); err != nil {
		return nil, err
	}
	if len(took) == 0 {
		return nil, errors.New("no pause was measured")
	}
	ns := make([]float64, len(took))
	for i, d := range took {
		ns[i] = float64(d)
	}
	slices.Sort(ns)
	return []float64{float64(len(ns)), regime.Quantile(ns, 0.5), regime.Quantile(ns, 0.9), ns[len(ns)-1]}, nil
}

// counted is over how many calls allocations are counted.
const counted = 100_000

// allocations returns the number of calls and the objects that one allocates,
// here and in the enclave.
func (c caller) allocations(time.Duration) ([]float64, error) {
	if err := c.echo64(1000); err != nil {
		return nil, err
	}
	var there [3]uint64
	for i := range there[:2] { // the first two tell what asking costs
		var err error
		if there[i], err = c.to.Mallocs(c.ctx); err != nil {
			return nil, err
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := c.echo64(counted); err != nil {
		return nil, err
	}
	runtime.ReadMemStats(&after)
	var err error
	if there[2], err = c.to.Mallocs(c.ctx); err != nil {
		return nil, err
	}
	asking := there[1] - there[0]
	return []float64{
		counted,
		float64(after.Mallocs-before.Mallocs) / counted,
		max(0, float64(there[2]-there[1])-float64(asking)) / counted,
	}, nil
}
