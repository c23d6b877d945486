package enclave

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/secgear/secgear/sdk/internal/interior"
	"github.com/secgear/secgear/sdk/shm"
)

// ownService implements interior.Inside: what the runtime tells the process that
// loaded the enclave.
type ownService struct{ e *Enclave }

// errNotOwner: other processes that have a lane see nothing of each other.
var errNotOwner = errors.New("the enclave's numbers are for the process that loaded it")

// forOwner tells whether the call that ctx belongs to is the owner's.
func (n ownService) forOwner(ctx context.Context) error {
	select {
	case <-n.e.owner:
		if shm.Current(ctx) == n.e.ownerLane {
			return nil
		}
	default:
	}
	return errNotOwner
}

func (n ownService) Numbers(ctx context.Context) ([]byte, error) {
	if err := n.forOwner(ctx); err != nil {
		return nil, err
	}
	return n.e.numbers().Encode()
}

// numbers adds up what there is to tell.
func (e *Enclave) numbers() interior.Numbers {
	memory := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(memory) // these stop nobody
	num := interior.Numbers{
		Goroutines: runtime.NumGoroutine(),
		HeapBytes:  memory[0].Value.Uint64(), MemoryBytes: memory[1].Value.Uint64() - memory[2].Value.Uint64(),
	}
	lanes, past := e.openLanes()
	num.Lanes, num.Stats = len(lanes), shm.Stats{Made: []shm.MethodStats{}}.Plus(past)
	for _, l := range lanes {
		num.Stats = num.Plus(l.Stats())
	}
	num.Served = withoutInside(num.Served)
	return num
}

// withoutInside leaves the runtime's own calls out.
func withoutInside(list []shm.MethodStats) []shm.MethodStats {
	kept := list[:0]
	for _, m := range list {
		if m.ContractID != interior.ID {
			kept = append(kept, m)
		}
	}
	return kept
}

// openLanes lists the lanes, and adds up those that were.
func (e *Enclave) openLanes() (open []*shm.Lane, past shm.Stats) {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]*shm.Lane, 0, len(e.lanes))
	for l := range e.lanes {
		list = append(list, l)
	}
	return list, e.past
}

func (n ownService) Profile(ctx context.Context, kind string, seconds uint32) ([]byte, error) {
	over := time.Duration(seconds) * time.Second
	switch {
	case !n.e.id.Manifest.Debug: // before all else
		return nil, interior.ErrNotDebug
	case n.forOwner(ctx) != nil:
		return nil, errNotOwner
	case interior.Profiler == nil:
		return nil, interior.ErrNoProfiler
	case over > interior.MaxProfile:
		return nil, fmt.Errorf("a profile over %v: at most %v", over, interior.MaxProfile)
	}
	return interior.Profiler(ctx, kind, over)
}
