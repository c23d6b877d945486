package nitro

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/nitro/internal/wire"
)

type logger = *slog.Logger

// instance is a running enclave. What the enclave sends may be anything.
type instance struct {
	machine machine
	largest uint64 // lane, in bytes, as the manifest has it
	token   wire.Token
	control net.Conn

	done chan struct{} // closed once err is final

	mu      sync.Mutex
	closing bool
	err     error
}

// newInstance waits for the enclave in m, of which it takes ownership.
func newInstance(ctx context.Context, m machine, largest uint64) (*instance, error) {
	i := &instance{machine: m, largest: largest, done: make(chan struct{})}
	rand.Read(i.token[:])
	go i.watch()
	var err error
	if i.control, err = i.awaitEnclave(ctx); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return i, nil
}

// watch waits for the machine's end.
func (i *instance) watch() {
	<-i.machine.done()
	i.mu.Lock()
	if !i.closing {
		i.err = i.machine.cause()
	}
	i.mu.Unlock()
	close(i.done)
}

const (
	// retry is how long to wait between attempts to reach an enclave that starts.
	retry = 10 * time.Millisecond
	// attemptTime bounds an attempt: one that came too early may get no answer.
	attemptTime = 5 * time.Second
)

// awaitEnclave opens the control stream as soon as the enclave takes it.
func (i *instance) awaitEnclave(ctx context.Context) (net.Conn, error) {
	pause := time.NewTicker(retry)
	defer pause.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTime)
		c, err := i.open(attempt, wire.Control)
		cancel()
		refusal := wire.Refusal("")
		switch {
		case err == nil:
			return c, nil
		case errors.As(err, &refusal):
			return nil, fmt.Errorf("opening the control stream: %w", err)
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the enclave: %w", ctx.Err())
		case <-i.done:
			if err := i.Err(); err != nil {
				return nil, err
			}
			return nil, errors.New("the program ended without serving: does it call enclave.Main?")
		}
	}
}

// open opens a stream to the enclave.
func (i *instance) open(ctx context.Context, kind wire.Kind) (net.Conn, error) {
	c, err := i.machine.dial(ctx, wire.Port)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	_, err = c.Write(wire.Preface(kind, i.token))
	if err == nil {
		err = wire.ReadAnswer(c)
	}
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Control implements [tee.Instance].
func (i *instance) Control() net.Conn { return i.control }

// OpenLane implements [tee.Instance]. The lane has no memory, but a size that it
// could not have elsewhere is an error here, too.
func (i *instance) OpenLane(ctx context.Context, size int) (*tee.Lane, error) {
	if size <= 0 || size%os.Getpagesize() != 0 || uint64(size) > i.largest {
		return nil, fmt.Errorf("opening a lane: %d bytes are not whole pages up to the %d bytes that the manifest allows", size, i.largest)
	}
	bell, err := i.open(ctx, wire.Lane)
	switch {
	case err == nil:
		return &tee.Lane{Bell: bell, Release: func() {}}, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("opening a lane: %w", ctx.Err())
	}
	if refusal := wire.Refusal(""); !errors.As(err, &refusal) {
		// The enclave has gone, or is about to be seen to.
		return nil, fmt.Errorf("opening a lane: %w: %w", tee.ErrLost, err)
	}
	return nil, fmt.Errorf("opening a lane: %w", err)
}

// Protections implements [tee.Instance].
func (i *instance) Protections() []tee.Protection {
	return append(i.machine.protections(), tee.Protection{
		Name:   "zero-switch calls",
		Reason: "a Nitro Enclave shares no memory with its host: every call is switched, over vsock",
	})
}

// Done implements [tee.Instance].
func (i *instance) Done() <-chan struct{} { return i.done }

// Err implements [tee.Instance].
func (i *instance) Err() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err
}

// Close implements [tee.Instance].
func (i *instance) Close() error {
	i.mu.Lock()
	i.closing = true
	i.mu.Unlock()
	if err := i.machine.close(); err != nil {
		return fmt.Errorf("ending the enclave: %w", err)
	}
	<-i.done
	if i.control == nil {
		return nil
	}
	if err := i.control.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("closing the control stream: %w", err)
	}
	return nil
}
