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

// measured is what comes out: of speeds MiB/s through the enclave, sealing and
// opening; of calls how long each took that does nothing. Without shared memory
// only what is switched is there.
type measured struct {
	zeroCopy, copied, switched []float64
	zeroSwitch, bySwitch       []time.Duration
}

// measure compares for as long as d. Whatever is compared takes turns, so that
// what else the machine does falls on all alike.
func measure(ctx context.Context, j job, all *roads, detours vault.DetoursClient, d time.Duration, show *progress) (*measured, error) {
	defer show.beginFor("comparing", d)()
	began := time.Now()
	m := new(measured)
	until := func(share float64) bool {
		show.reach(int64(time.Since(began)))
		return time.Since(began) >= time.Duration(share*float64(d))
	}
	for round := 0; round == 0 || !until(0.8); round++ {
		if err := m.speeds(ctx, j, all, round); err != nil {
			return nil, fmt.Errorf("comparing: %w", err)
		}
	}
	for round := 0; round == 0 || !until(1); round++ {
		var err error
		if all.shared() {
			err = timeCalls(ctx, 1000, detours.Nothing, &m.zeroSwitch)
		}
		if err == nil {
			err = timeCalls(ctx, 100, detours.NothingSwitched, &m.bySwitch)
		}
		if err != nil {
			return nil, fmt.Errorf("comparing: %w", err)
		}
	}
	return m, nil
}

// speeds lets a piece of the job's file take each kind of road, in another order
// every round. Every piece is a job of its own: read, sealed, written, read,
// opened, compared.
func (m *measured) speeds(ctx context.Context, j job, all *roads, round int) error {
	ways := []struct {
		roads []road
		into  *[]float64
	}{{all.zeroCopy, &m.zeroCopy}, {all.copied, &m.copied}, {all.switched, &m.switched}}
	for i := range ways {
		w := ways[(i+round)%len(ways)]
		if len(w.roads) == 0 {
			continue
		}
		speed, err := j.piece(ctx, round, w.roads)
		if err != nil {
			return err
		}
		*w.into = append(*w.into, speed)
	}
	return nil
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

// timeCalls makes n calls one after the other and notes how long each takes.
func timeCalls(ctx context.Context, n int, do func(context.Context) error, into *[]time.Duration) error {
	for range n {
		began := time.Now()
		if err := do(ctx); err != nil {
			return err
		}
		*into = append(*into, time.Since(began))
	}
	return nil
}

// speed is n bytes in d, in MiB/s.
func speed(n int64, d time.Duration) float64 {
	return float64(n) / (1 << 20) / max(d, 1).Seconds()
}
