package enclave

import (
	"fmt"

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
	if err := e.reserve(len(t.Mem)); err != nil {
		discard(t)
		return err
	}
	opened := make(chan *shm.Lane, 1)
	l, err := shm.Open(t, shm.Enclave, gate{e}, shm.Config{
		Workers:     e.workers,
		Spin:        e.spin,
		Listeners:   &e.listeners,
		Cooperative: cooperative(e.platform),
		OnClose:     func(error) { e.forget(<-opened) },
	})
	if err != nil {
		discard(t)
		e.forget(nil)
		return err
	}
	e.keep(l)
	opened <- l
	return nil
}

// reserve makes room for a lane of size bytes.
func (e *Enclave) reserve(size int) error {
	m := e.id.Manifest
	if uint64(size) > m.LaneMemory {
		return fmt.Errorf("%d bytes are more than the manifest's lane_memory, %d", size, m.LaneMemory)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.slots >= m.Lanes {
		return fmt.Errorf("there are %d lanes already, as many as the manifest allows", e.slots)
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

// forget gives back the room of a lane that has ended, or was never opened.
func (e *Enclave) forget(l *shm.Lane) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.slots--
	delete(e.lanes, l)
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
