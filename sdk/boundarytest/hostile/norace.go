//go:build !race && !linux && !darwin

package hostile

const raceEnabled = false
