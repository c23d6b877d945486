package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/secgear/secgear/bench/internal/drive"
	"github.com/secgear/secgear/bench/internal/peer"
	"github.com/secgear/secgear/bench/internal/regime"
)

// contender is a process that works on demand.
type contender interface {
	Run(ctx context.Context, work string, d time.Duration) ([]float64, error)
}

// stage is where the contenders meet. Only secgear has to be there.
type stage struct {
	limit    contender
	noLimit  error // why limit is nil
	secgear  contender
	peers    map[string][]contender // each in every placement
	burners  []contender
	stderr   io.Writer // for what a person has to know
	progress func(format string, args ...any)
	times
}

// times are those that tests are impatient of.
type times struct {
	settle time.Duration // from burners begin until they compete in earnest
	calm   time.Duration // from the last call until nobody waits for another
	idle   time.Duration // in which idle processes are watched
}

// realTimes are long against the scheduler's time slices, the runtime's timers,
// and the 10 ms in which the kernel tells used time.
var realTimes = times{settle: 20 * time.Millisecond, calm: 200 * time.Millisecond, idle: 3 * time.Second}

const (
	limitSlice  = 5 * time.Millisecond
	leastRounds = 3
)

// calls measures group g for about d and makes its lines. A failure is in the
// lines; the error is the context's.
func (s *stage) calls(ctx context.Context, g group, d time.Duration) ([]line, error) {
	rounds, places, err := s.play(ctx, g, d)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var lines []line
	for _, c := range g.compares {
		l := line{Name: c.name, Unit: "x", meaning: c.meaning}
		switch {
		case err != nil:
			lines = append(lines, l.fail(err, c.goal))
		case c.den == regime.TheLimit && s.limit == nil:
			lines = append(lines, l.fail(s.noLimit, c.goal))
		default:
			l.Details = details(g, c, places)
			lines = append(lines, summarize(l, c, rounds))
		}
	}
	return lines, nil
}

// play finds places for the peers and plays rounds for d.
func (s *stage) play(ctx context.Context, g group, d time.Duration) ([]regime.Round, []contender, error) {
	s.progress("%s: finding the best placement of the peers", g.name)
	places, err := s.places(ctx, g)
	if err != nil {
		return nil, nil, err
	}
	s.progress("%s: measuring for %v", g.name, d.Round(time.Second))
	var rounds []regime.Round
	for begin := time.Now(); time.Since(begin) < d || len(rounds) < leastRounds; {
		r, err := s.round(ctx, g, places)
		if err != nil {
			return nil, nil, err
		}
		rounds = append(rounds, r)
	}
	return rounds, places, nil
}

// places chooses who plays each turn: of the peers the placement that is
// fastest at this very work.
func (s *stage) places(ctx context.Context, g group) ([]contender, error) {
	const tries = 5
	places := make([]contender, len(g.turns))
	for i, t := range g.turns {
		if t.who == ours {
			places[i] = s.secgear
			continue
		}
		all := s.peers[t.who]
		if len(all) == 0 {
			return nil, fmt.Errorf("no peer %s", t.who)
		}
		best, _, err := peer.Calibrate(tries, len(all), func(j int) (time.Duration, error) {
			v, err := s.take(ctx, all[j], t)
			return time.Duration(v), err
		})
		if err != nil {
			return nil, err
		}
		places[i] = all[best]
	}
	return places, nil
}

// round is one turn of everybody, with the limit before, between and after.
func (s *stage) round(ctx context.Context, g group, places []contender) (regime.Round, error) {
	var r regime.Round
	for i, t := range g.turns {
		limit, err := s.measureLimit(ctx)
		if err != nil {
			return r, err
		}
		value, err := s.take(ctx, places[i], t)
		if err != nil {
			return r, err
		}
		r.Limits, r.Values = append(r.Limits, limit), append(r.Values, value)
	}
	limit, err := s.measureLimit(ctx)
	r.Limits = append(r.Limits, limit)
	return r, err
}

// measureLimit is the limit now, 0 if there is none.
func (s *stage) measureLimit(ctx context.Context) (float64, error) {
	if s.limit == nil {
		return 0, nil
	}
	return slice(ctx, s.limit, "limit", limitSlice, false)
}

// take plays one turn.
func (s *stage) take(ctx context.Context, who contender, t turn) (value float64, err error) {
	if !t.burn {
		return slice(ctx, who, t.work, t.slice, t.mean)
	}
	defer func() { err = errors.Join(err, s.tell(ctx, "rest")) }()
	if err := s.tell(ctx, "burn"); err != nil {
		return 0, err
	}
	if err := sleep(ctx, s.settle); err != nil {
		return 0, err
	}
	return slice(ctx, who, t.work, t.slice, t.mean)
}

// tell has all burners burn or rest.
func (s *stage) tell(ctx context.Context, what string) error {
	for _, b := range s.burners {
		if _, err := b.Run(ctx, what, 0); err != nil {
			return err
		}
	}
	return nil
}

// slice is the time per call in one slice, in nanoseconds.
func slice(ctx context.Context, who contender, work string, d time.Duration, mean bool) (float64, error) {
	numbers, err := who.Run(ctx, work, d)
	if err != nil {
		return 0, err
	}
	s, err := drive.AsSlice(numbers)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", work, err)
	}
	if mean {
		return s.Mean(), nil
	}
	return s.Median, nil
}

// sleep waits for d.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// summarize makes l of what the rounds say about c.
func summarize(l line, c compare, rounds []regime.Round) line {
	s := regime.Compare(rounds, c.num, c.den)
	where, judged, ok := s.Judged()
	if !ok {
		return l.fail(fmt.Errorf("the regime changed during each of %d pairs", s.Dropped), c.goal)
	}
	l = l.judge(judged.Ratio.P50, c.goal.in(where))
	l.Regime, l.Pairs, l.Dropped = where, judged.Pairs, s.Dropped
	l.Regimes = make(map[regime.Regime]any)
	for where, g := range s.Groups {
		l.Regimes[where] = describe(where, g)
	}
	return l
}

// details names both sides of c.
func details(g group, c compare, places []contender) map[string]any {
	side := func(i int) string {
		if i == regime.TheLimit {
			return "cache line round trip in C"
		}
		name := g.turns[i].who
		if n, ok := places[i].(interface{ Name() string }); ok {
			name = n.Name()
		}
		return name + ": " + g.turns[i].work
	}
	return map[string]any{"numerator": side(c.num), "denominator": side(c.den)}
}
