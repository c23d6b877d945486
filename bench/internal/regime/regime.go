// Package regime compares contenders on machines whose clock can't be trusted
// to stand still. On virtual machines the time that a cache line takes between
// two processors changes by a factor of four within seconds, as the processors
// are moved near to each other or far apart. So contenders take turns in slices
// of milliseconds with the limit measured between any two of them; a comparison
// counts when the limit was in the same regime all along, and what is reported
// is the median of the ratios, per regime.
package regime

import (
	"cmp"
	"slices"
)

// Regime says how far apart the two processors are.
type Regime string

// The regimes.
const (
	Near    Regime = "near"    // a cache line comes back within 200 ns
	Far     Regime = "far"     // it takes longer
	Unknown Regime = "unknown" // the limit was not measured
)

// nearBelow is where far begins, in nanoseconds.
const nearBelow = 200

// Of is the regime in which the limit takes ns nanoseconds; 0 or less is no
// measurement.
func Of(ns float64) Regime {
	switch {
	case ns <= 0:
		return Unknown
	case ns < nearBelow:
		return Near
	}
	return Far
}

// Round is one turn of all contenders. All numbers are nanoseconds per call.
type Round struct {
	Limits []float64 // before the first contender, between any two, after the last
	Values []float64 // one for each contender, in their order
}

// TheLimit is the limit's place in a comparison, instead of a contender's.
const TheLimit = -1

// Group is what pairs of one regime say.
type Group struct {
	Pairs int
	Ratio Quantiles // of numerator over denominator
	Num   Quantiles // absolute, in nanoseconds
	Den   Quantiles
	Limit Quantiles
}

// Summary is a comparison of two contenders, per regime.
type Summary struct {
	Groups  map[Regime]Group
	Dropped int // pairs whose regime changed on the way
}

// Compare divides contender num by contender den, which may be TheLimit, in
// every round.
func Compare(rounds []Round, num, den int) Summary {
	s := Summary{Groups: make(map[Regime]Group)}
	found := make(map[Regime]*samples)
	for _, r := range rounds {
		where, same := r.regime(num, den)
		if !same {
			s.Dropped++
			continue
		}
		if found[where] == nil {
			found[where] = new(samples)
		}
		found[where].add(r.value(num, num), r.value(den, num), r.limit(num))
	}
	for where, x := range found {
		s.Groups[where] = x.group()
	}
	return s
}

// Judged is the regime with most pairs; false if there are none.
func (s Summary) Judged() (Regime, Group, bool) {
	var best Regime
	for where, g := range s.Groups {
		if b := s.Groups[best]; g.Pairs > b.Pairs || g.Pairs == b.Pairs && where < best {
			best = where
		}
	}
	g, ok := s.Groups[best]
	return best, g, ok
}

// regime is that of all limits around and between contenders i and j.
func (r Round) regime(i, j int) (Regime, bool) {
	if j == TheLimit {
		j = i
	}
	around := r.Limits[min(i, j) : max(i, j)+2]
	where := Of(around[0])
	for _, l := range around[1:] {
		if Of(l) != where {
			return where, false
		}
	}
	return where, true
}

// value is contender i's, or the limit's beside contender beside.
func (r Round) value(i, beside int) float64 {
	if i == TheLimit {
		return r.limit(beside)
	}
	return r.Values[i]
}

// limit is the mean of the limits before and after contender i.
func (r Round) limit(i int) float64 { return (r.Limits[i] + r.Limits[i+1]) / 2 }

// samples collects the pairs of a regime.
type samples struct{ ratio, num, den, limit []float64 }

func (x *samples) add(num, den, limit float64) {
	x.ratio = append(x.ratio, num/den)
	x.num = append(x.num, num)
	x.den = append(x.den, den)
	x.limit = append(x.limit, limit)
}

func (x *samples) group() Group {
	return Group{
		Pairs: len(x.ratio),
		Ratio: QuantilesOf(x.ratio),
		Num:   QuantilesOf(x.num),
		Den:   QuantilesOf(x.den),
		Limit: QuantilesOf(x.limit),
	}
}

// Quantiles of a sample.
type Quantiles struct{ P10, P50, P90 float64 }

// QuantilesOf sorts v and returns its quantiles; zeros for no sample.
func QuantilesOf(v []float64) Quantiles {
	slices.SortFunc(v, cmp.Compare[float64])
	return Quantiles{Quantile(v, 0.1), Quantile(v, 0.5), Quantile(v, 0.9)}
}

// Quantile returns the q-quantile of sorted by linear interpolation, 0 for no
// sample.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := q * float64(len(sorted)-1)
	below := int(at)
	if below+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}
