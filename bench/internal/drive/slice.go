package drive

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Slice is what a slice of calls answers.
type Slice struct {
	Calls  float64 // calls made
	Total  float64 // nanoseconds from the first call to the last answer
	Median float64 // nanoseconds per call, median over batches of calls
}

// Mean is the time per call over the whole slice, in nanoseconds.
func (s Slice) Mean() float64 { return s.Total / s.Calls }

// AsSlice reads the numbers of a slice of calls.
func AsSlice(numbers []float64) (Slice, error) {
	if len(numbers) != 3 || numbers[0] <= 0 || numbers[1] <= 0 {
		return Slice{}, errors.New("not the numbers of a slice of calls")
	}
	return Slice{numbers[0], numbers[1], numbers[2]}, nil
}

// warmUp is how much of each slice is played before measuring begins, so that
// both sides are awake.
const warmUp = time.Millisecond

// Calls is a work: one caller calls again and again, do(n) making n calls. The
// clock is read once every batch calls.
func Calls(batch int, do func(n int) error) Work {
	batches := make([]float64, 0, 1<<16)
	return func(d time.Duration) ([]float64, error) {
		for begin := time.Now(); time.Since(begin) < warmUp; {
			if err := do(batch); err != nil {
				return nil, err
			}
		}
		batches = batches[:0]
		begin := time.Now()
		before := begin
		for before.Sub(begin) < d && len(batches) < cap(batches) {
			if err := do(batch); err != nil {
				return nil, err
			}
			after := time.Now()
			batches = append(batches, float64(after.Sub(before))/float64(batch))
			before = after
		}
		slices.Sort(batches)
		return []float64{float64(len(batches) * batch), float64(before.Sub(begin)), batches[len(batches)/2]}, nil
	}
}

// Together is a work: callers call at the same time, do(i, n) making n calls as
// caller i. All of the time counts, from the first call to the last answer; the
// median is the mean.
func Together(callers, batch int, do func(caller, n int) error) Work {
	return func(d time.Duration) ([]float64, error) {
		var (
			wg    sync.WaitGroup
			calls atomic.Int64
			stop  atomic.Bool
			errs  = make([]error, callers)
		)
		begin := time.Now()
		for i := range callers {
			wg.Go(func() {
				n := 0
				for {
					errs[i] = do(i, batch)
					n += batch
					if time.Since(begin) >= d {
						stop.Store(true)
					}
					if errs[i] != nil || stop.Load() {
						break
					}
				}
				calls.Add(int64(n))
			})
		}
		wg.Wait()
		total := float64(time.Since(begin))
		n := float64(calls.Load())
		return []float64{n, total, total / n}, errors.Join(errs...)
	}
}
