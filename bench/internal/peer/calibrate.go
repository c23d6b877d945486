package peer

import (
	"slices"
	"time"
)

// Calibrate lets every candidate do work in turns and returns the fastest of
// them by the median of their slices, with the median time per call.
func Calibrate(turns int, candidates int, slice func(i int) (time.Duration, error)) (int, time.Duration, error) {
	times := make([][]time.Duration, candidates)
	for range turns {
		for i := range candidates {
			d, err := slice(i)
			if err != nil {
				return 0, 0, err
			}
			times[i] = append(times[i], d)
		}
	}
	best, at := time.Duration(0), -1
	for i, t := range times {
		slices.Sort(t)
		if m := t[len(t)/2]; at < 0 || m < best {
			best, at = m, i
		}
	}
	return at, best, nil
}
