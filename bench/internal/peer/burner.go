package peer

import (
	"os"
	"sync/atomic"
	"time"

	"github.com/secgear/secgear/bench/internal/drive"
)

// runBurner uses up a processor between the works "burn" and "rest".
func runBurner() error {
	var burning atomic.Bool
	return drive.Serve(os.Stdin, os.Stdout, map[string]drive.Work{
		"burn": func(time.Duration) ([]float64, error) {
			if !burning.Swap(true) {
				go func() {
					for burning.Load() {
					}
				}()
			}
			return nil, nil
		},
		"rest": func(time.Duration) ([]float64, error) {
			burning.Store(false)
			return nil, nil
		},
	})
}
