package main

import (
	"context"
	"errors"

	"github.com/secgear/secgear/examples/vault"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/shm"
)

// road takes one chunk at a time through the enclave: load, then seal or open,
// then wait. What load and wait return is valid until the next load.
type road interface {
	// load returns n bytes of memory for what is to be sealed or opened.
	load(n int) ([]byte, error)
	// seal and open start a call and do not wait for it.
	seal(ctx context.Context, at vault.Chunk)
	open(ctx context.Context, at vault.Chunk)
	// wait returns what the call has made of the chunk.
	wait() ([]byte, error)
}

// inFlight is how many chunks are under way at once.
const inFlight = 4

// roads are all there are, inFlight of each kind. Where host and enclave share no
// memory all calls are switched, and there are no others.
type roads struct{ zeroCopy, copied, switched []road }

func newRoads(ctx context.Context, e *host.Enclave) (*roads, error) {
	r := new(roads)
	v, d := vault.NewVaultClient(e), vault.NewDetoursClient(e)
	for range inFlight {
		r.switched = append(r.switched, newSwitchedRoad(d))
		b, err := e.NewBuffer(ctx, sealedChunk)
		if errors.Is(err, errors.ErrUnsupported) {
			continue
		}
		if err != nil {
			return nil, err
		}
		r.zeroCopy = append(r.zeroCopy, &sharedRoad{enclave: v, buffer: b})
		r.copied = append(r.copied, newCopiedRoad(d))
	}
	return r, nil
}

// shared tells whether host and enclave share memory.
func (r *roads) shared() bool { return len(r.zeroCopy) > 0 }

// best are the fastest ones.
func (r *roads) best() []road {
	if r.shared() {
		return r.zeroCopy
	}
	return r.switched
}

// free gives the shared memory back.
func (r *roads) free() error {
	var err error
	for _, z := range r.zeroCopy {
		err = errors.Join(err, z.(*sharedRoad).buffer.Free())
	}
	return err
}

// sharedRoad has a buffer in memory that the enclave sees too: nothing is copied
// on the way, and a chunk is sealed and opened where it lies.
type sharedRoad struct {
	enclave vault.VaultClient
	buffer  shm.Buffer // as long as a sealed chunk
	in, out shm.Buffer // parts of it
	call    interface{ Wait() error }
}

func (r *sharedRoad) load(n int) (room []byte, err error) {
	if r.in, err = r.buffer.Slice(0, n); err != nil {
		return nil, err
	}
	return r.in.Shared()
}

func (r *sharedRoad) seal(ctx context.Context, at vault.Chunk) {
	r.out, _ = r.buffer.Slice(0, r.in.Len()+vault.Overhead)
	r.call = r.enclave.StartSeal(ctx, at, r.in, r.out)
}

func (r *sharedRoad) open(ctx context.Context, at vault.Chunk) {
	r.out, _ = r.buffer.Slice(0, r.in.Len()-vault.Overhead)
	r.call = r.enclave.StartUnseal(ctx, at, r.in, r.out)
}

func (r *sharedRoad) wait() ([]byte, error) {
	if err := r.call.Wait(); err != nil {
		return nil, err
	}
	return r.out.Shared()
}

// copiedRoad passes the bytes as arguments and gets them as results.
type copiedRoad struct {
	startSeal, startOpen func(context.Context, vault.Chunk, []byte) copiedCall

	room []byte
	call copiedCall
}

type copiedCall interface{ Wait() ([]byte, error) }

func newCopiedRoad(d vault.DetoursClient) *copiedRoad {
	return &copiedRoad{
		startSeal: func(ctx context.Context, at vault.Chunk, b []byte) copiedCall { return d.StartSealCopy(ctx, at, b) },
		startOpen: func(ctx context.Context, at vault.Chunk, b []byte) copiedCall { return d.StartUnsealCopy(ctx, at, b) },
		room:      make([]byte, sealedChunk),
	}
}

// newSwitchedRoad returns a road whose calls are like those of a copied one, but
// for what the contract says of the methods: they go through a socket.
func newSwitchedRoad(d vault.DetoursClient) *copiedRoad {
	return &copiedRoad{
		startSeal: func(ctx context.Context, at vault.Chunk, b []byte) copiedCall { return d.StartSealSwitched(ctx, at, b) },
		startOpen: func(ctx context.Context, at vault.Chunk, b []byte) copiedCall {
			return d.StartUnsealSwitched(ctx, at, b)
		},
		room: make([]byte, sealedChunk),
	}
}

func (r *copiedRoad) load(n int) ([]byte, error) {
	r.room = r.room[:n]
	return r.room, nil
}

func (r *copiedRoad) seal(ctx context.Context, at vault.Chunk) { r.call = r.startSeal(ctx, at, r.room) }

func (r *copiedRoad) open(ctx context.Context, at vault.Chunk) { r.call = r.startOpen(ctx, at, r.room) }
func (r *copiedRoad) wait() ([]byte, error)                    { return r.call.Wait() }
