//go:build !linux

package ring

// CPU can't be known on this system.
func CPU() uint32 { return 0 }

// LeaveCPU does nothing on this system.
func LeaveCPU() {}
