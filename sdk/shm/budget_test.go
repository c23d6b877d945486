package shm

import (
	"context"
	"errors"
	"runtime"
	"testing"
)

// budgetLane opens a lane whose enclave's side is bounded by b. Its handler
// notes what it was handed, and waits until it may go on.
func budgetLane(t *testing.T, b *Budget, entered, leave chan struct{}) (host, enclave *Lane) {
	t.Helper()
	x, y := Pipe(8 << 20)
	h := handlerFunc(func(ctx context.Context, q *Request) {
		if err := q.Err(); err != nil {
			q.Fail(1, err.Error())
			return
		}
		entered <- struct{}{}
		<-leave
	})
	host = open(t, x, Host, h, Config{Cooperative: true})
	enclave = open(t, y, Enclave, h, Config{Cooperative: true, Budget: b})
	t.Cleanup(func() {
		host.Close()
		enclave.Close()
		host.Join()
		enclave.Join()
	})
	return host, enclave
}

// begin starts a call with size bytes.
func begin(t *testing.T, l *Lane, switched bool, size int) *Call {
	t.Helper()
	c, err := l.Begin(t.Context(), 0, 0, switched, size)
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wait returns the status of the answer.
func wait(t *testing.T, c *Call) uint32 {
	t.Helper()
	a, err := c.Wait(c.Ticket())
	if err != nil {
		t.Fatal(err)
	}
	defer c.End()
	return a.Status
}

// One lane that takes all it can leaves as much for the others, and gives it
// back.
func TestBudget(t *testing.T) {
	const mib = 1 << 20
	for name, switched := range map[string]bool{"through memory": false, "over the bell": true} {
		t.Run(name, func(t *testing.T) {
			b := NewBudget(4*mib + 4*laneMemory)
			entered, leave := make(chan struct{}, 9), make(chan struct{}, 9)
			one, _ := budgetLane(t, b, entered, leave)
			two, enclave := budgetLane(t, b, entered, leave)
			before := b.Left()

			calls := []*Call{begin(t, one, switched, mib), begin(t, one, switched, mib)}
			<-entered
			<-entered
			if s := wait(t, begin(t, one, switched, mib)); s != 1 {
				t.Errorf("a third MiB was taken: %d", s)
			}
			calls = append(calls, begin(t, two, switched, mib))
			<-entered
			if s := wait(t, begin(t, two, switched, mib)); s != 1 {
				t.Errorf("another's second MiB was taken: %d", s)
			}
			if left := b.Left(); left != before-3*mib {
				t.Errorf("%d bytes are left of %d", left, before)
			}
			for range calls {
				leave <- struct{}{}
			}
			for _, c := range calls {
				if s := wait(t, c); s != 0 {
					t.Errorf("status %d", s)
				}
			}
			if left := b.Left(); left != before {
				t.Errorf("%d bytes are left of %d", left, before)
			}
			begin(t, two, switched, mib)
			<-entered
			leave <- struct{}{}
			two.Close()
			<-enclave.Done()
			enclave.Join()
			for b.Left() != before+laneMemory { // once it has ended
				if t.Context().Err() != nil {
					t.Fatalf("%d bytes are left of %d", b.Left(), before+laneMemory)
				}
				runtime.Gosched()
			}
		})
	}
}

// A lane that would have no memory is not opened.
func TestBudgetSpent(t *testing.T) {
	x, y := Pipe(1 << 20)
	defer x.Bell.Close()
	defer y.Bell.Close()
	b := NewBudget(laneMemory)
	if l, err := Open(x, Enclave, nil, Config{Budget: b}); !errors.Is(err, ErrNoMemory) {
		t.Errorf("opened: %v, %v", l, err)
	}
	if b.Left() != laneMemory {
		t.Errorf("%d bytes are left", b.Left())
	}
}
