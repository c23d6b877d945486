package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// An emulator that is denied memory or a thread stands still as often as it ends (it
// aborts, and seems to take its own abort's signal for one of the program's while it
// holds its locks). So somebody asks an emulated enclave
// whether it is there.
const (
	pulseEvery    = 10 * time.Second
	pulsePatience = 30 * time.Second
)

// pulse ends an enclave that answers nothing any more, twice in a row: the first
// time the host itself may have been stopped.
func (i *instance) pulse(every, patience time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for missed := 0; missed < 2; {
		select {
		case <-i.proc.Done():
			return
		case <-tick.C:
		}
		missed++
		if i.beats(patience) {
			missed = 0
		}
	}
	i.mu.Lock()
	i.broken = fmt.Errorf("its emulator has not answered for %v: QEMU may stand still when it is denied memory or a thread", 2*patience)
	i.mu.Unlock()
	i.proc.Kill()
}

// beats offers a lane without memory, which the enclave refuses; any answer will do.
func (i *instance) beats(patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return !errors.Is(i.offer(ctx, 0), context.DeadlineExceeded)
}
