package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/internal/mux"
	"github.com/secgear/secgear/sdk/internal/spawn"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/vm/internal/wire"
)

// instance is a running machine. What its guest sends may be anything.
type instance struct {
	proc        *spawn.Process // QEMU
	mux         *mux.Mux
	platform    *mux.Stream
	control     *mux.Stream
	log         *slog.Logger
	debug       bool // what the guest prints is logged
	protections []tee.Protection
	laneMemory  uint64
	memories    *memories
	console     *console

	done chan struct{} // closed once err is final

	mu         sync.Mutex
	lanes      map[uint32]chan<- error // waiting for the guest's answer
	nextStream uint32
	closing    bool  // by Close
	broken     error // why the machine was ended, if its guest broke the rules
	err        error
}

// newInstance takes over what l holds for a running machine.
func newInstance(proc *spawn.Process, l *launch, log *slog.Logger) (*instance, error) {
	port, err := net.FileConn(l.port[0])
	if err != nil {
		return nil, err
	}
	memories, err := newMemories(l.shared, l.sharedSize)
	if err != nil {
		port.Close()
		return nil, err
	}
	i := &instance{
		proc: proc, log: log, debug: l.manifest.Debug, laneMemory: l.manifest.LaneMemory, memories: memories,
		console: newConsole(l.console[0], l.stdout[0], log, l.manifest.Debug),
		done:    make(chan struct{}), lanes: map[uint32]chan<- error{}, nextStream: wire.FirstLane,
	}
	l.console[0], l.stdout[0] = nil, nil
	i.mux = mux.New(port, maxStreams(l.manifest.Lanes), nil)
	go i.watch()
	if i.platform, err = i.mux.Open(wire.Platform); err == nil {
		i.control, err = i.mux.Open(wire.Control)
	}
	if err != nil { // the machine has died already
		return nil, errors.Join(err, i.Close())
	}
	i.protections = protections(l)
	return i, nil
}

// maxStreams is how many streams there may be: as many as the guest allows.
func maxStreams(lanes int) int { return int(wire.FirstLane) + lanes + 32 }

// protections says what is around the enclave, and what is not.
func protections(l *launch) []tee.Protection {
	list := []tee.Protection{
		{Name: "virtual machine", Active: true},
		{Name: "hardware virtualisation", Active: l.machine.KVM},
		{Name: "no network", Active: true},
		{Name: "system call filter around QEMU", Active: true},
		{Name: "memory encryption", Active: l.machine.Confidential != nil},
	}
	if l.noAcceleration != nil {
		list[1].Reason = "emulated in software: " + l.noAcceleration.Error()
	}
	if l.machine.Confidential == nil {
		list[4].Reason = "a plain machine: its owner reads and alters all of it"
	}
	return list
}

// watch waits for the machine's end.
func (i *instance) watch() {
	<-i.proc.Done()
	<-i.console.done
	i.mux.Close()
	i.memories.close()
	i.mu.Lock()
	i.err = i.cause()
	i.mu.Unlock()
	close(i.done)
}

// cause says why the machine ended.
func (i *instance) cause() error {
	status, err := i.proc.Status()
	how, said := i.console.how()
	switch {
	case i.closing:
		return nil
	case i.broken != nil:
		return fmt.Errorf("the enclave was ended: %w", i.broken)
	case how == exitZero:
		return nil
	case how == "" && err != nil:
		how = "how is unknown: " + err.Error()
	case how == "" && status.Signaled():
		how = "QEMU: " + unix.SignalName(status.Signal())
	case how == "":
		how = fmt.Sprintf("QEMU: exit status %d", status.ExitStatus())
	}
	if said != "" {
		how += ": " + said
	} else if !i.debug {
		how += " (what it printed is shown for debug images only)"
	}
	return fmt.Errorf("the enclave died: %s", how)
}

// greet waits until the guest is ready, and starts the conversation.
func (i *instance) greet(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { i.platform.SetDeadline(time.Unix(1, 0)) })
	err := i.awaitReady()
	if !stop() {
		return fmt.Errorf("waiting for the guest: %w", ctx.Err())
	}
	if err != nil {
		return err
	}
	go i.serve()
	return nil
}

func (i *instance) awaitReady() error {
	kind, body, err := wire.Read(i.platform, make([]byte, wire.MaxMessage))
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return i.silent()
	case err != nil:
		return fmt.Errorf("waiting for the guest: %w", err)
	case kind != wire.KindReady:
		return fmt.Errorf("%w: message %d instead of a greeting", wire.ErrFormat, kind)
	}
	found, err := wire.ParseReady(body)
	i.protections = append(i.protections, found...)
	return err
}

// silent says why a guest did not greet.
func (i *instance) silent() error {
	i.proc.Kill()
	<-i.done
	if err := i.Err(); err != nil {
		return err
	}
	return errors.New("the program ended without serving: does it call enclave.Main?")
}

// serve answers the guest's messages until its end. A guest that breaks the rules
// is ended.
func (i *instance) serve() {
	buf := make([]byte, wire.MaxMessage)
	for {
		kind, body, err := wire.Read(i.platform, buf)
		if err == nil {
			err = i.handle(kind, body)
		}
		if err == nil {
			continue
		}
		if ended := i.mux.Err(); errors.Is(ended, mux.ErrProtocol) {
			err = ended
		}
		if errors.Is(err, wire.ErrFormat) || errors.Is(err, mux.ErrProtocol) {
			i.mu.Lock()
			i.broken = err
			i.mu.Unlock()
			i.proc.Kill()
			return
		}
		// The guest has ended; it restarts, which QEMU takes for its end.
		select {
		case <-i.proc.Done():
		case <-time.After(farewell):
			i.proc.Kill()
		}
		return
	}
}

// farewell is how long a machine may take to end after its program.
const farewell = 5 * time.Second

// handle answers one message.
func (i *instance) handle(kind wire.Kind, body []byte) error {
	switch kind {
	case wire.KindLaneReply:
		stream, result, err := wire.ParseLaneReply(body)
		if err != nil {
			return err
		}
		i.mu.Lock()
		waiting := i.lanes[stream]
		delete(i.lanes, stream)
		i.mu.Unlock()
		if waiting != nil { // else its opener has given up
			waiting <- result
		}
		return nil
	case wire.KindFreed:
		number, err := wire.ParseFreed(body)
		if err != nil {
			return err
		}
		return i.memories.guestFreed(number)
	}
	return fmt.Errorf("%w: message %d is unknown", wire.ErrFormat, kind)
}

// send sends one message, bounded by ctx.
func (i *instance) send(ctx context.Context, kind wire.Kind, body []byte) error {
	sent := make(chan error, 1)
	go func() {
		_, err := i.platform.Write(wire.Append(nil, kind, body...))
		sent <- err
	}()
	select {
	case err := <-sent:
		if err != nil {
			return fmt.Errorf("%w: %w", tee.ErrLost, err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-i.proc.Done():
		return tee.ErrLost
	}
}

// Control implements [tee.Instance].
func (i *instance) Control() net.Conn { return i.control }

// Protections implements [tee.Instance].
func (i *instance) Protections() []tee.Protection { return i.protections }

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
	if err := i.proc.Kill(); err != nil {
		return fmt.Errorf("ending the machine: %w", err)
	}
	<-i.done
	return nil
}
