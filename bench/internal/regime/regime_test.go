package regime

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestOf(t *testing.T) {
	for _, c := range []struct {
		ns   float64
		want Regime
	}{{0, Unknown}, {-1, Unknown}, {105, Near}, {199.9, Near}, {200, Far}, {434, Far}} {
		if got := Of(c.ns); got != c.want {
			t.Errorf("Of(%v) = %s, want %s", c.ns, got, c.want)
		}
	}
}

func TestCompare(t *testing.T) {
	const near, far = 100, 400
	rounds := []Round{
		{Limits: []float64{near, near, near}, Values: []float64{120, 3000}},
		{Limits: []float64{near, near, near}, Values: []float64{110, 2750}},
		{Limits: []float64{near, near, far}, Values: []float64{130, 9999}}, // the second contender's turn was disturbed
		{Limits: []float64{far, far, far}, Values: []float64{440, 8800}},
		{Limits: []float64{far, near, far}, Values: []float64{1, 1}},
	}
	for _, c := range []struct {
		name     string
		num, den int
		near     Group
		far      Group
		dropped  int
	}{
		{"against the limit", 0, TheLimit, Group{Pairs: 3, Ratio: Quantiles{P50: 1.2}, Den: Quantiles{P50: 100}}, Group{Pairs: 1, Ratio: Quantiles{P50: 1.1}, Den: Quantiles{P50: 400}}, 1},
		{"against each other", 1, 0, Group{Pairs: 2, Ratio: Quantiles{P50: 25}, Den: Quantiles{P50: 115}}, Group{Pairs: 1, Ratio: Quantiles{P50: 20}, Den: Quantiles{P50: 440}}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Compare(rounds, c.num, c.den)
			if s.Dropped != c.dropped {
				t.Errorf("dropped %d pairs, want %d", s.Dropped, c.dropped)
			}
			for where, want := range map[Regime]Group{Near: c.near, Far: c.far} {
				got := s.Groups[where]
				if got.Pairs != want.Pairs || !close(got.Ratio.P50, want.Ratio.P50) || !close(got.Den.P50, want.Den.P50) {
					t.Errorf("%s: got %+v, want %+v", where, got, want)
				}
			}
			if where, _, ok := s.Judged(); !ok || where != Near {
				t.Errorf("judged in regime %q, %v; want near", where, ok)
			}
		})
	}
}

func TestNoLimit(t *testing.T) {
	s := Compare([]Round{{Limits: []float64{0, 0, 0}, Values: []float64{10, 40}}}, 1, 0)
	where, g, ok := s.Judged()
	if !ok || where != Unknown || g.Ratio.P50 != 4 {
		t.Errorf("got %s %+v %v, want a ratio of 4 in an unknown regime", where, g, ok)
	}
}

func TestNothing(t *testing.T) {
	if where, g, ok := Compare(nil, 0, TheLimit).Judged(); ok {
		t.Errorf("no rounds, yet judged %s %+v", where, g)
	}
}

// TestFlips is a machine whose regime flips at random while a contender costs
// 1.25 of the limit with noise; means of either side would say something else.
func TestFlips(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	cost, rounds := 105.0, []Round(nil)
	measure := func(times float64) float64 {
		if rnd.IntN(20) == 0 {
			cost = 539 - cost // 105 ↔ 434
		}
		noise := 1 + 0.02*rnd.NormFloat64()
		if rnd.IntN(10) == 0 {
			noise *= 5 // somebody else's turn on the processor
		}
		return cost * times * noise
	}
	for range 2000 {
		rounds = append(rounds, Round{Limits: []float64{measure(1), 0}, Values: []float64{measure(1.25)}})
		rounds[len(rounds)-1].Limits[1] = measure(1)
	}
	s := Compare(rounds, 0, TheLimit)
	for _, where := range []Regime{Near, Far} {
		g := s.Groups[where]
		if g.Pairs < 100 || math.Abs(g.Ratio.P50-1.25) > 0.05 {
			t.Errorf("%s: ratio %.3f of %d pairs, want about 1.25", where, g.Ratio.P50, g.Pairs)
		}
	}
	if s.Dropped == 0 {
		t.Error("no pair was dropped although the regime flipped")
	}
}

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		sorted []float64
		q      float64
		want   float64
	}{
		{nil, 0.5, 0},
		{[]float64{7}, 0.9, 7},
		{[]float64{1, 2}, 0.5, 1.5},
		{[]float64{1, 2, 3}, 0.5, 2},
		{[]float64{0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100}, 0.9, 90},
		{[]float64{1, 2, 3}, 1, 3},
	} {
		if got := Quantile(c.sorted, c.q); !close(got, c.want) {
			t.Errorf("Quantile(%v, %v) = %v, want %v", c.sorted, c.q, got, c.want)
		}
	}
}

func close(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
