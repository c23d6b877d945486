package shm

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secgear/secgear/sdk/internal/ring"
)

// Bridge joins the ends of a lane of which the host's uses futexes and the
// enclave's can't, as another kernel runs there: it passes on what comes over
// either bell, and in between what one side wakes the other by. mem is the lane's
// memory, mapped as long as Bridge runs: until one of the bells has ended. It closes
// both.
func Bridge(mem []byte, host, enclave net.Conn) error {
	r, err := ring.NewRegion(mem)
	if err != nil {
		host.Close()
		enclave.Close()
		return fmt.Errorf("bridging a lane: %w", err)
	}
	b := &bridge{enclave: enclave, done: make(chan struct{})}
	end := sync.OnceFunc(func() {
		close(b.done)
		host.Close()
		enclave.Close()
		ring.FutexWake(r.Wake(ring.Enclave), 1<<30) // ends watch
	})
	var wg sync.WaitGroup
	wg.Go(func() { defer end(); b.toEnclave(host) })
	wg.Go(func() { defer end(); b.toHost(host, r.Wake(ring.Host)) })
	wg.Go(func() { b.watch(r.Wake(ring.Enclave)) })
	wg.Wait()
	return nil
}

// bridge is one that runs.
type bridge struct {
	enclave net.Conn
	done    chan struct{}
	mu      sync.Mutex // a frame to the enclave at a time
}

// toEnclave passes on what the host's end says.
func (b *bridge) toEnclave(host net.Conn) error {
	for {
		var h [bellHeader]byte
		if _, err := io.ReadFull(host, h[:]); err != nil {
			return err
		}
		if err := b.write(&h, host); err != nil {
			return err
		}
	}
}

// write writes a frame to the enclave, whose payload is in r.
func (b *bridge) write(h *[bellHeader]byte, r io.Reader) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return pass(b.enclave, h, r)
}

// pass writes a frame, whose payload is in r.
func pass(w io.Writer, h *[bellHeader]byte, r io.Reader) error {
	if _, err := w.Write(h[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(h[12:])
	if n == 0 {
		return nil
	}
	_, err := io.CopyN(w, r, int64(n))
	return err
}

// toHost passes on what the enclave's end says. A wake-up is a futex's there.
func (b *bridge) toHost(host net.Conn, word *atomic.Uint32) error {
	for {
		var h [bellHeader]byte
		if _, err := io.ReadFull(b.enclave, h[:]); err != nil {
			return err
		}
		if f := parseFrame(&h); f.kind == frameWake && f.n == 0 {
			ring.FutexWake(word, 1)
		} else if err := pass(host, &h, b.enclave); err != nil {
			return err
		}
	}
}

// watch sleeps on the enclave's wake word in the enclave's place, and passes each
// wake-up on. It takes it from the word first, so that the next one shows.
func (b *bridge) watch(word *atomic.Uint32) {
	wake := [bellHeader]byte{frameWake}
	for {
		v := word.Load()
		switch {
		case v == woken && word.CompareAndSwap(woken, awake):
			if b.write(&wake, nil) != nil {
				return // the bell has ended
			}
			continue
		case v == woken:
			continue
		}
		select {
		case <-b.done:
			return
		default:
		}
		ring.FutexWait(word, v, bridgeNap)
	}
}

// bridgeNap bounds each sleep, should the end of the bridge be missed.
const bridgeNap = time.Second
