package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/secgear/secgear/bench/echo"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/tee/all"
)

// Goals, for TEEs that are virtual machines.
const (
	maxRatio = 2        // of a short call to the sandbox's
	maxImage = 20 << 20 // bytes of kernel and initramfs
)

// subject is a loaded enclave.
type subject struct {
	*host.Enclave
	ready time.Duration
	size  *sizes
}

// load loads the enclave in a TEE.
func (b *bench) load(ctx context.Context, tee string) (*subject, error) {
	var seen sizes
	begin := time.Now()
	e, err := host.LoadImage(ctx, b.image, host.Options{
		Backends: all.Backends(), TEE: tee, StateDir: b.state, Socket: "none", Log: slog.New(&seen),
	})
	if err != nil {
		return nil, err
	}
	return &subject{e, time.Since(begin), &seen}, nil
}

// starts is how many times an enclave is started.
const starts = 3

// compare measures one TEE, and prints its lines.
func (b *bench) compare(ctx context.Context, tee string) (err error) {
	base, err := b.load(ctx, sandbox)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	var took []float64
	var s *subject
	for i := range starts {
		if s, err = b.load(ctx, tee); err != nil {
			return err
		}
		took = append(took, float64(s.ready.Microseconds())/1000)
		if i < starts-1 {
			if err := s.Close(); err != nil {
				return err
			}
		}
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	slices.Sort(took)
	if err := b.print(line{TEE: tee, Name: "start_ms", Unit: "ms", Details: map[string]any{"starts": starts, "max": took[starts-1]}}, took[starts/2], 0); err != nil {
		return err
	}
	if err := b.ratios(ctx, tee, s, base); err != nil {
		return err
	}
	return b.weigh(tee, s)
}

// ratios compares calls.
func (b *bench) ratios(ctx context.Context, tee string, s, base *subject) error {
	for _, m := range []struct {
		name string
		call func(context.Context, *subject) func() error
		goal float64
	}{
		{"rtt64_over_sandbox", echo64, maxRatio},
		{"copy1m_over_sandbox", echo1m, 0},
	} {
		pairs, err := b.turns(m.call(ctx, s), m.call(ctx, base))
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		goal := m.goal
		if s.size.image == 0 {
			goal = 0
		}
		l := line{TEE: tee, Name: m.name, Unit: "ratio", Details: map[string]any{
			"pairs": len(pairs), "ns": median(pairs, func(p pair) float64 { return p.ours }), "sandbox_ns": median(pairs, func(p pair) float64 { return p.base }),
			"p10": quantile(pairs, 0.1), "p90": quantile(pairs, 0.9),
		}}
		if err := b.print(l, quantile(pairs, 0.5), goal); err != nil {
			return err
		}
	}
	return nil
}

// weigh prints how large everything is.
func (b *bench) weigh(tee string, s *subject) error {
	imageBytes, goal, memory := float64(s.size.image), float64(maxImage), float64(s.size.memory)
	if s.size.image == 0 { // a process
		imageBytes, goal, memory = float64(len(b.image.Program)), 0, float64(s.Manifest().Memory>>20)
	}
	if err := b.print(line{TEE: tee, Name: "image_bytes", Unit: "bytes"}, imageBytes, goal); err != nil {
		return err
	}
	return b.print(line{TEE: tee, Name: "guest_memory_mib", Unit: "MiB"}, memory, 0)
}

// pair is how long a call takes on either side, in nanoseconds.
type pair struct{ ours, base float64 }

// turn is how long a side calls before the other does.
const turn = 20 * time.Millisecond

// turns has both sides call in turns.
func (b *bench) turns(ours, base func() error) (pairs []pair, err error) {
	for _, warm := range []func() error{ours, base} {
		if _, err := slice(warm); err != nil {
			return nil, err
		}
	}
	for end := time.Now().Add(b.time); time.Now().Before(end); {
		var p pair
		if p.ours, err = slice(ours); err != nil {
			return nil, err
		}
		if p.base, err = slice(base); err != nil {
			return nil, err
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

// slice calls for one turn and returns what a call took: the median over groups of
// some, after the first third, in which both sides wake up.
func slice(call func() error) (float64, error) {
	var took []float64
	begin := time.Now()
	for time.Since(begin) < turn || len(took) < 3 {
		before := time.Now()
		n := 0
		for ; n == 0 || time.Since(before) < turn/40; n++ {
			if err := call(); err != nil {
				return 0, err
			}
		}
		took = append(took, float64(time.Since(before))/float64(n))
	}
	took = took[len(took)/3:]
	slices.Sort(took)
	return took[len(took)/2], nil
}

// quantile is that of the ratios.
func quantile(pairs []pair, q float64) float64 {
	var ratios []float64
	for _, p := range pairs {
		ratios = append(ratios, p.ours/p.base)
	}
	slices.Sort(ratios)
	return round(ratios[min(int(q*float64(len(ratios))), len(ratios)-1)])
}

func median(pairs []pair, of func(pair) float64) float64 {
	var values []float64
	for _, p := range pairs {
		values = append(values, of(p))
	}
	slices.Sort(values)
	return round(values[len(values)/2])
}

// round keeps three decimals.
func round(x float64) float64 { return math.Round(x*1000) / 1000 }

var errDiffers = errors.New("the echo differs")

// echo64 makes a short call.
func echo64(ctx context.Context, s *subject) func() error {
	c := echo.NewEchoerClient(s)
	var data [64]byte
	return func() error {
		data[0]++
		back, err := c.Echo64(ctx, data)
		if err == nil && back != data {
			err = errDiffers
		}
		return err
	}
}

// echo1m makes a call with a large argument and result.
func echo1m(ctx context.Context, s *subject) func() error {
	c := echo.NewEchoerClient(s)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	return func() error {
		back, err := c.Echo(ctx, data)
		if err == nil && !bytes.Equal(back, data) {
			err = errDiffers
		}
		return err
	}
}

// sizes is a log handler that picks up how large a machine is.
type sizes struct {
	mu            sync.Mutex
	image, memory int64
}

// Enabled implements [slog.Handler].
func (*sizes) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle implements [slog.Handler].
func (s *sizes) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch a.Key {
		case "image_bytes":
			s.image = a.Value.Int64()
		case "memory_mib":
			s.memory = a.Value.Int64()
		}
		return true
	})
	return nil
}

// WithAttrs implements [slog.Handler]: the enclave's own records don't count.
func (*sizes) WithAttrs([]slog.Attr) slog.Handler { return slog.DiscardHandler }

// WithGroup implements [slog.Handler].
func (*sizes) WithGroup(string) slog.Handler { return slog.DiscardHandler }
