package enclave

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
)

// acceptLanes opens the lanes that the host offers, until it is gone. The first
// belongs to the process that loaded the enclave.
func (e *Enclave) acceptLanes() {
	for {
		t, err := e.platform.AcceptLane()
		if err != nil {
			e.leave(lost(err))
			return
		}
		if err := e.admit(t); err != nil {
			e.log.Warn("lane refused", "reason", err)
		}
	}
}

// admit opens a lane if the manifest has room for it, and discards it if not.
func (e *Enclave) admit(t *tee.Lane) error {
	if err := e.await(len(t.Mem)); err != nil {
		discard(t)
		return err
	}
	e.collect()
	size := uint64(len(t.Mem))
	opened := make(chan *shm.Lane, 1)
	l, err := shm.Open(t, shm.Enclave, gate{e}, shm.Config{
		Workers:     e.workers,
		Spin:        e.spin,
		Listeners:   &e.listeners,
		Cooperative: cooperative(e.platform),
		OnClose:     func(error) { e.forget(<-opened, size) },
		Budget:      e.memory,
	})
	if err != nil {
		discard(t)
		e.forget(nil, 0)
		return err
	}
	e.keep(l)
	opened <- l
	return nil
}

// farewell is how long a lane may take to go after its process.
const farewell = time.Second

// await makes room for a lane of size bytes. When there are as many as may be,
// it waits a little: the host may know sooner than we that one has ended.
func (e *Enclave) await(size int) error {
	deadline := time.Now().Add(farewell)
	for {
		err := e.reserve(size)
		if !errors.Is(err, errFull) {
			return err
		}
		select {
		case <-e.room:
		case <-e.gone:
			return err
		case <-time.After(time.Until(deadline)):
			return err
		}
	}
}

// errFull is matched when there are as many lanes as there may be.
var errFull = errors.New("as many as the manifest allows")

// collect has the memory of lanes that ended unmapped, before it fills the
// address space: what refers to it, only the collector knows.
func (e *Enclave) collect() {
	m := e.id.Manifest
	e.mu.Lock()
	full := e.dead > 0 && e.dead >= min(m.LaneMemory*uint64(m.Lanes)/2, mostDead)
	if full {
		e.dead = 0
	}
	e.mu.Unlock()
	if full {
		runtime.GC()
	}
}

// mostDead is how much memory of lanes that ended waits for the collector.
const mostDead = 256 << 20

// reserve makes room for a lane of size bytes.
func (e *Enclave) reserve(size int) error {
	m := e.id.Manifest
	if uint64(size) > m.LaneMemory {
		return fmt.Errorf("%d bytes are more than the manifest's lane_memory, %d", size, m.LaneMemory)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.slots >= m.Lanes {
		return fmt.Errorf("there are %d lanes already, %w", e.slots, errFull)
	}
	e.slots++
	return nil
}

// keep remembers a lane, or closes it when the enclave has ended.
func (e *Enclave) keep(l *shm.Lane) {
	e.mu.Lock()
	ended := e.lanes == nil
	if !ended {
		e.lanes[l] = struct{}{}
	}
	e.mu.Unlock()
	if ended {
		l.Close()
		return
	}
	if e.ownerLane == nil { // only this goroutine sets it
		e.ownerLane = l
		close(e.owner)
	}
}

// forget gives back the room of a lane of size bytes that has ended, or of one
// that was never opened.
func (e *Enclave) forget(l *shm.Lane, size uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.slots--
	e.dead += size
	if l != nil {
		e.past = e.past.Plus(l.Stats().Ended())
	}
	delete(e.lanes, l)
	select {
	case e.room <- struct{}{}:
	default:
	}
}

// discard closes a lane that was never opened.
func discard(t *tee.Lane) {
	t.Bell.Close()
	if t.Release != nil {
		t.Release()
	}
}

// cooperative tells whether both sides of p share a process.
func cooperative(p tee.Platform) bool {
	c, ok := p.(interface{ Cooperative() bool })
	return ok && c.Cooperative()
}
