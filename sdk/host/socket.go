package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/secgear/secgear/sdk/internal/rendezvous"
)

// noSocket is the Options.Socket that makes none.
const noSocket = "none"

// serve opens the enclave's socket, if it is to have one.
func (e *Enclave) serve() error {
	if e.opt.Socket == noSocket || e.opt.Socket == "" && cooperative(e.inst) {
		return nil
	}
	cfg := rendezvous.Config{
		Path: e.opt.Socket, Name: e.id.Manifest.Name, Log: e.log,
		Anybody:  others(e.id.Manifest.Attach),
		Status:   e.status,
		Handlers: map[rendezvous.Kind]func(*rendezvous.Request){rendezvous.KindAttach: e.admit, rendezvous.KindProfile: e.profile},
	}
	s, err := rendezvous.Listen(cfg)
	if err == nil {
		e.socket = s
		return nil
	}
	err = fmt.Errorf("opening the enclave's socket: %w", err)
	if e.opt.Socket == "" && len(e.id.Manifest.Attach) == 0 {
		// It was only for watching.
		level := e.log.Warn
		if errors.Is(err, errors.ErrUnsupported) {
			level = e.log.Debug
		}
		level("enclave has no socket", "enclave", e.id.Manifest.Name, "err", err)
		return nil
	}
	return err
}

// unserve closes the socket, if there is one.
func (e *Enclave) unserve() error {
	if e.socket == nil {
		return nil
	}
	return e.socket.Close()
}

// status is what the socket tells of the enclave. One that does not answer soon
// is described without its own words.
func (e *Enclave) status() any {
	s := e.Stats()
	ctx, cancel := context.WithTimeout(context.Background(), insideTime)
	defer cancel()
	if n, err := e.Inside(ctx); err == nil {
		s.Inside = &n
	}
	return s
}

// insideTime is how long the enclave may take to describe itself.
const insideTime = 200 * time.Millisecond
