package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/secgear/secgear/sdk/internal/control"
	"github.com/secgear/secgear/sdk/internal/rendezvous"
)

// Running is an enclave that runs in some process of this machine.
type Running struct {
	Name   string
	PID    int    // of the process that loaded it
	Socket string // path
	Stats  Stats  // that process's, and its word; meaningless if Err is not nil
	Err    error  // why it does not tell
}

// FindRunning lists the enclaves that have their socket in the folder for them
// (see docs/attach.md), with the numbers of the processes that loaded them, which
// only tell the same user's processes and root's.
func FindRunning(ctx context.Context) ([]Running, error) {
	entries, err := rendezvous.List(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Running, len(entries))
	var wg sync.WaitGroup
	for i, e := range entries {
		list[i] = Running{Name: e.Name, PID: e.PID, Socket: e.Path}
		wg.Go(func() { list[i].ask(ctx) })
	}
	wg.Wait()
	return list, ctx.Err()
}

// lookTime is how long the owner of an enclave may take to describe it: one that
// is stopped must not hold up the view of the others. It asks the enclave for
// insideTime.
const lookTime = time.Second

var errSilent = errors.New("the process that loaded the enclave does not answer")

// ask asks for the numbers.
func (r *Running) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, lookTime, errSilent)
	defer cancel()
	doc, err := rendezvous.Ask(ctx, r.Socket, rendezvous.KindStatus, nil)
	if err == nil {
		r.Stats, err = parseStats(doc)
	}
	r.Err = err
}

// parseStats reads what another process told. It may be an impostor's: texts are
// made printable.
func parseStats(doc []byte) (s Stats, err error) {
	if err := json.Unmarshal(doc, &s); err != nil {
		return Stats{}, fmt.Errorf("reading what the enclave's owner told: %w", err)
	}
	s.Name, s.TEE = control.Printable(s.Name), control.Printable(s.TEE)
	printNames(s.Made)
	printNames(s.Served)
	if s.Inside != nil {
		printNames(s.Inside.Made)
		printNames(s.Inside.Served)
	}
	return s, nil
}
