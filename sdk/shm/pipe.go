package shm

import (
	"net"

	"github.com/secgear/secgear/sdk/internal/ring"
	"github.com/secgear/secgear/sdk/tee"
)

// Pipe returns the two ends of a lane inside one process, over size bytes of
// ordinary memory: for tests and for debugging. Open them with
// [Config.Cooperative].
func Pipe(size int) (host, enclave *tee.Lane) {
	mem := ring.Alloc(max(size, ring.MinSize))
	a, b := net.Pipe()
	return &tee.Lane{Mem: mem, Bell: a}, &tee.Lane{Mem: mem, Bell: b}
}
