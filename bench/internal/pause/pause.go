// Package pause measures how long it takes to stop all goroutines of a program
// (as the garbage collector must, now and then), which a goroutine that spins
// without letting itself be interrupted would delay.
package pause

import (
	"context"
	"runtime"
	"time"
)

// Measure stops all goroutines of this program n times, resting in between, and
// returns how long each took, from the wish to the world going on again.
func Measure(ctx context.Context, n int, rest time.Duration) ([]time.Duration, error) {
	var (
		stats runtime.MemStats
		took  = make([]time.Duration, 0, n)
		timer = time.NewTicker(max(rest, time.Microsecond))
	)
	defer timer.Stop()
	for range n {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return took, ctx.Err()
		}
		begin := time.Now()
		runtime.ReadMemStats(&stats) // stops the world
		took = append(took, time.Since(begin))
	}
	return took, nil
}
