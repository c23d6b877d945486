package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/secgear/secgear/examples/vault"
)

// piece is how many bytes take a road at a time while speeds are compared.
const piece = 16 << 20

// measured is what comes out.
type measured struct{ zeroCopy, copied, switched samples }

// samples are what is measured of one way to call.
type samples struct {
	speed   []float64       // MiB/s through the enclave, sealing and opening
	latency []time.Duration // of a call that does nothing
}

// measure lets pieces of the job's file take each kind of road in turn, for as
// long as d, so that what else the machine does falls on all of them alike. Every
// piece is a job of its own: read, sealed, written, read, opened, compared.
func measure(ctx context.Context, j job, all *roads, detours vault.DetoursClient, d time.Duration, show *progress) (*measured, error) {
	m := new(measured)
	ways := []struct {
		into    *samples
		roads   []road
		nothing func(context.Context) error
		calls   int // a round
	}{
		{&m.zeroCopy, all.zeroCopy, detours.Nothing, 1000},
		{&m.copied, all.copied, nil, 0},
		{&m.switched, all.switched, detours.NothingSwitched, 100},
	}
	defer show.beginFor("comparing", d)()
	began := time.Now()
	for round := 0; round == 0 || time.Since(began) < d; round++ {
		for i := range ways { // in another order each time
			w := ways[(i+round)%len(ways)]
			speed, err := j.piece(ctx, round, w.roads)
			if err != nil {
				return nil, fmt.Errorf("comparing: %w", err)
			}
			w.into.speed = append(w.into.speed, speed)
			for range w.calls {
				called := time.Now()
				if err := w.nothing(ctx); err != nil {
					return nil, fmt.Errorf("comparing: %w", err)
				}
				w.into.latency = append(w.into.latency, time.Since(called))
			}
		}
		show.reach(int64(time.Since(began)))
	}
	return m, nil
}

// piece runs a job with a part of j's file, on the given roads, and returns how
// fast that was.
func (j job) piece(ctx context.Context, round int, roads []road) (mibPerSecond float64, err error) {
	whole := max(1, j.size/piece)
	off := int64(round) % whole * piece
	n := min(piece, j.size-off)
	j.plain, j.size, j.roads = io.NewSectionReader(j.plain, off, n), n, roads
	if err := j.run(ctx, new(progress)); err != nil {
		return 0, err
	}
	return speed(2*n, j.took.seal+j.took.open), nil // each byte goes in twice
}

// speed is n bytes in d, in MiB/s.
func speed(n int64, d time.Duration) float64 {
	return float64(n) / (1 << 20) / max(d, 1).Seconds()
}
