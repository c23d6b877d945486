// Package cpu places processes on processors and reads how much of them they
// used.
package cpu

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Allowed lists the processors that this process may run on, in order.
func Allowed() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("reading the processors allowed: %w", err)
	}
	var cpus []int
	for i := 0; len(cpus) < set.Count(); i++ {
		if set.IsSet(i) {
			cpus = append(cpus, i)
		}
	}
	return cpus, nil
}

// On calls start on the given processors, which processes started by it
// inherit. No processors means that nothing changes.
func On(cpus []int, start func() error) error {
	if len(cpus) == 0 {
		return start()
	}
	runtime.LockOSThread()
	var old, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("reading the processors allowed: %w", err)
	}
	for _, c := range cpus {
		set.Set(c)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("running on processors %v: %w", cpus, err)
	}
	started := start()
	if err := unix.SchedSetaffinity(0, &old); err != nil {
		return fmt.Errorf("running on the old processors again: %w", err) // the thread stays locked, and ends with its goroutine
	}
	runtime.UnlockOSThread()
	return started
}
