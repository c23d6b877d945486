package shm

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/internal/ring"
	"github.com/secgear/secgear/sdk/tee"
)

// bridged is a lane whose host's end uses futexes and whose enclave's end can't.
func bridged(t *testing.T, cfg Config) (p *pair, ended <-chan struct{}) {
	t.Helper()
	p = &pair{gate: make(chan struct{}), entered: make(chan struct{}, 1000)}
	mem := ring.Alloc(4 << 20)
	x1, x2 := net.Pipe()
	y1, y2 := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := Bridge(mem, x2, y1); err != nil {
			t.Error(err)
		}
	}()
	p.host = open(t, &tee.Lane{Mem: mem, Bell: x1, Futex: true}, Host, p, cfg)
	p.enclave = open(t, &tee.Lane{Mem: mem, Bell: y2}, Enclave, p, cfg)
	t.Cleanup(func() {
		p.host.Close()
		p.enclave.Close()
		p.host.Join()
		p.enclave.Join()
		<-done
	})
	return p, done
}

// TestBridge: no wake-up is lost on its way from futex to bell and back. Both
// sides sleep at once, and would for an hour.
func TestBridge(t *testing.T) {
	p, _ := bridged(t, Config{Spin: -1, nap: time.Hour})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 200 {
				from := p.host
				if j%2 == 1 {
					from = p.enclave
				}
				want := fmt.Sprint(i, j)
				got, err := do(t.Context(), from, echo, []byte(want))
				if err != nil || string(got) != want {
					t.Errorf("%q, %v; want %q", got, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestBridgeEnds: the end of one side is the other's.
func TestBridgeEnds(t *testing.T) {
	for _, ofHost := range []bool{true, false} {
		p, ended := bridged(t, Config{})
		here, there := p.host, p.enclave
		if !ofHost {
			here, there = there, here
		}
		here.Close()
		<-there.Done()
		if err := there.Err(); !errors.Is(err, tee.ErrLost) {
			t.Errorf("the other end: %v", err)
		}
		<-ended
	}
}
