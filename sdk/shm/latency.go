package shm

import (
	"math/bits"
	"sync/atomic"
)

// latency is a histogram of durations: four buckets to each power of two, from
// 64 ns to about two minutes. Adding to it is rare enough for locked
// instructions.
type latency struct {
	buckets  [latencyBuckets]atomic.Uint64
	sum, max atomic.Uint64
}

const (
	latencyFirst   = 6 // the first bucket ends at 1<<latencyFirst nanoseconds
	latencyOctaves = 31
	latencyBuckets = 1 + 4*latencyOctaves
)

// bucketOf returns the bucket of a duration; what is too long goes to the last.
func bucketOf(ns uint64) int {
	if ns <= 1<<latencyFirst {
		return 0
	}
	ns-- // bounds are inclusive
	octave := bits.Len64(ns) - 1
	quarter := int(ns>>(octave-2)) & 3
	return min(1+4*(octave-latencyFirst)+quarter, latencyBuckets-1)
}

// bucketEnd returns the longest duration of a bucket.
func bucketEnd(i int) uint64 {
	if i == 0 {
		return 1 << latencyFirst
	}
	octave, quarter := (i-1)/4+latencyFirst, uint64(i-1)%4
	return 1<<octave + (quarter+1)<<(octave-2)
}

// add adds a duration that stands for weight calls.
func (h *latency) add(ns, weight uint64) {
	h.buckets[bucketOf(ns)].Add(weight)
	h.sum.Add(ns * weight)
	for {
		most := h.max.Load()
		if ns <= most || h.max.CompareAndSwap(most, ns) {
			return
		}
	}
}

// Latency says how long calls took. Not every call is timed: of each method and
// slot the first [Latency.SampledEvery] are, and then one in so many, which
// counts for the ones before it too. With SampledEvery 1 it is exact.
type Latency struct {
	SampledEvery uint64   `json:"sampled_every"`
	Count        uint64   `json:"count"`  // calls that the histogram stands for
	SumNS        uint64   `json:"sum_ns"` // of their durations
	MaxNS        uint64   `json:"max_ns"` // the longest that was measured
	P50NS        uint64   `json:"p50_ns"` // upper bounds of the buckets that the percentiles fall into
	P90NS        uint64   `json:"p90_ns"`
	P99NS        uint64   `json:"p99_ns"`
	Buckets      []Bucket `json:"buckets"` // shortest first; empty ones are left out
}

// Bucket is one bucket of a histogram.
type Bucket struct {
	LeNS  uint64 `json:"le_ns"` // the longest duration in it
	Count uint64 `json:"count"` // in this bucket alone
}

// snapshot reads the histogram.
func (h *latency) snapshot(every uint64) Latency {
	l := Latency{SampledEvery: every, SumNS: h.sum.Load(), MaxNS: h.max.Load(), Buckets: []Bucket{}}
	for i := range h.buckets {
		if n := h.buckets[i].Load(); n != 0 {
			l.Buckets = append(l.Buckets, Bucket{bucketEnd(i), n})
		}
	}
	l.sumUp()
	return l
}

// sumUp sets what follows from the buckets.
func (l *Latency) sumUp() {
	l.Count = 0
	for _, b := range l.Buckets {
		l.Count += b.Count
	}
	l.P50NS, l.P90NS, l.P99NS = l.Percentile(50), l.Percentile(90), l.Percentile(99)
}

// Percentile returns the upper bound of the bucket that the given percentile
// (1 to 100) falls into, in nanoseconds, at most the longest measured; 0 without
// calls.
func (l Latency) Percentile(p int) uint64 {
	left := (l.Count*uint64(p) + 99) / 100
	for _, b := range l.Buckets {
		if b.Count >= left && left > 0 {
			if l.MaxNS != 0 {
				return min(b.LeNS, l.MaxNS)
			}
			return b.LeNS
		}
		left -= b.Count
	}
	return 0
}

// Since returns the histogram of what came after the earlier snapshot before.
// The longest of these alone is not known: MaxNS is that of all.
func (l Latency) Since(before Latency) Latency {
	old := make(map[uint64]uint64, len(before.Buckets))
	for _, b := range before.Buckets {
		old[b.LeNS] = b.Count
	}
	d := l
	d.SumNS -= min(d.SumNS, before.SumNS)
	d.Buckets = []Bucket{}
	for _, b := range l.Buckets {
		if n := b.Count - min(b.Count, old[b.LeNS]); n > 0 {
			d.Buckets = append(d.Buckets, Bucket{b.LeNS, n})
		}
	}
	d.sumUp()
	return d
}

// Plus returns the histogram of both.
func (l Latency) Plus(other Latency) Latency {
	sum := Latency{
		SampledEvery: max(l.SampledEvery, other.SampledEvery), SumNS: l.SumNS + other.SumNS,
		MaxNS: max(l.MaxNS, other.MaxNS), Buckets: []Bucket{},
	}
	a, b := l.Buckets, other.Buckets
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].LeNS < b[0].LeNS:
			sum.Buckets, a = append(sum.Buckets, a[0]), a[1:]
		case len(a) == 0 || b[0].LeNS < a[0].LeNS:
			sum.Buckets, b = append(sum.Buckets, b[0]), b[1:]
		default:
			sum.Buckets = append(sum.Buckets, Bucket{a[0].LeNS, a[0].Count + b[0].Count})
			a, b = a[1:], b[1:]
		}
	}
	sum.sumUp()
	return sum
}
