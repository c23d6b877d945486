//go:build linux || darwin

package hostile

import (
	"fmt"
	"os"
	"syscall"
)

// RaceSafe tells that unsynchronised accesses to memory by [Memory] are no
// matter for the race detector: it watches Go's own memory only.
const RaceSafe = true

// protected returns memory between two pages that can't be touched.
func protected(size int) (*Guarded, error) {
	page := os.Getpagesize()
	all, err := syscall.Mmap(-1, 0, size+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("mapping %d bytes: %w", size, err)
	}
	for _, side := range [][]byte{all[:page], all[page+size:]} {
		if err := syscall.Mprotect(side, syscall.PROT_NONE); err != nil {
			syscall.Munmap(all)
			return nil, fmt.Errorf("protecting a page: %w", err)
		}
	}
	return &Guarded{Mem: all[page : page+size : page+size], free: func() error { return syscall.Munmap(all) }}, nil
}
