//go:build !linux

package ring

import (
	"sync/atomic"
	"time"
)

// HasFutex tells whether FutexWait and FutexWake work here.
const HasFutex = false

// FutexWait is not to be had on this system.
func FutexWait(*atomic.Uint32, uint32, time.Duration) {}

// FutexWake is not to be had on this system.
func FutexWake(*atomic.Uint32, int) {}
