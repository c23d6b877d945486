//go:build !linux && !darwin

package hostile

// RaceSafe tells that unsynchronised accesses to memory by [Memory] are no
// matter for the race detector.
const RaceSafe = !raceEnabled

// protected has no implementation for this system.
func protected(int) (*Guarded, error) { return nil, nil }
