package boundarytest

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/shm"
)

// honest is another user of the attacked service, on a lane of its own. It keeps
// calling, also with messages full of a secret.
type honest struct {
	suite *suite
	lane  *shm.Lane
	done  atomic.Int64 // rounds
	err   atomic.Pointer[error]
}

// secret is what the honest user's messages contain.
var secret = []byte("a secret that belongs to another lane; ")

// patience is how long something that must happen may take on a busy machine.
const patience = 20 * time.Second

// newHonest starts an honest user of s, who goes on until the test ends.
func newHonest(t *testing.T, s *suite) *honest {
	h := &honest{suite: s, lane: pair(t, s.mux)}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { h.live(ctx) })
	t.Cleanup(func() {
		stop()
		wg.Wait()
	})
	return h
}

func (h *honest) live(ctx context.Context) {
	for ctx.Err() == nil {
		if err := h.round(ctx); err != nil && ctx.Err() == nil {
			h.err.CompareAndSwap(nil, &err)
			return
		}
		h.done.Add(1)
		// One round in a while is enough to show that it is served.
		select {
		case <-time.After(200 * time.Microsecond):
		case <-ctx.Done():
		}
	}
}

// round calls each method, and sends the secret.
func (h *honest) round(ctx context.Context) error {
	for _, do := range h.suite.Calls {
		if err := do(ctx, over{h.lane}); err != nil {
			return err
		}
	}
	for _, n := range []int{2, 100, 400} {
		method := uint16(h.done.Load() % int64(len(h.suite.Calls)))
		if _, err := raw(ctx, h.lane, h.suite.Contract.Contract.ID, method, n == 2, bytes.Repeat(secret, n)); err != nil {
			return err
		}
	}
	return nil
}

// check fails the test unless the honest user is served now.
func (h *honest) check(t *testing.T) {
	t.Helper()
	before := h.done.Load()
	for begun := time.Now(); h.done.Load() < before+2; time.Sleep(100 * time.Microsecond) {
		if err := h.err.Load(); err != nil {
			t.Fatalf("a call over another lane: %v", *err)
		}
		if time.Since(begun) > patience {
			t.Fatalf("no call over another lane was answered for %v", patience)
		}
	}
}
