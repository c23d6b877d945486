package shm

import (
	"context"
	"testing"
)

// BenchmarkSoftware is a call without the journeys between cores: both ends run
// on one goroutine.
func BenchmarkSoftware(b *testing.B) {
	p := newPair(b, Config{})
	for !p.enclave.poll.tryWorker() {
	}
	defer p.enclave.poll.unlock()
	arg := pattern(64)
	ctx := context.Background()
	for b.Loop() {
		c, err := p.host.Begin(ctx, 1, echo, false, len(arg))
		if err != nil {
			b.Fatal(err)
		}
		copy(c.Args(), arg)
		c.Start()
		p.enclave.execute(p.enclave.take(nil))
		if _, err := c.Wait(c.Ticket()); err != nil {
			b.Fatal(err)
		}
		c.End()
	}
}
