package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/control"
	"github.com/secgear/secgear/sdk/internal/rendezvous"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
)

var (
	// ErrAttach is matched by the errors of [Attach] for which the enclave's owner
	// refused; the text says why.
	ErrAttach = errors.New("the enclave's owner refused")
	// ErrNotRunning is matched by the error of [Attach] when no enclave of the
	// name runs.
	ErrNotRunning = rendezvous.ErrNotFound
)

// Attach gives this process a lane of its own to an enclave that another one has
// loaded. name is the enclave's name, if one of it runs, or the path of its
// socket, which has a '/' in it. The manifest's "attach" says who may.
//
// What comes back is used as what [Load] returns, with these differences. Close
// ends this process's lane only. Calls that the enclave makes while it handles
// one of this process's come to the services registered here; all others go to
// its owner. The enclave's log is its owner's.
//
// Digest, signer, manifest and TEE are the owner's word: it could hand over a
// lane to anything. Whoever must be certain looks at the enclave's evidence.
// Options.Signers and Digests are compared with that word.
//
// Of o, Services, Log, LaneMemory, Workers, Spin, TimeEvery, Signers and Digests count. The
// defaults of LaneMemory and Workers are what the owner chose.
//
// The error matches [ErrNotRunning], [ErrAttach], [ErrNotAllowed], or ctx's,
// which bounds attaching only. When the owner or the enclave dies, calls fail
// with [tee.ErrLost].
func Attach(ctx context.Context, name string, o Options) (*Enclave, error) {
	e, err := attach(ctx, name, o)
	if err != nil {
		return nil, fmt.Errorf("attaching to enclave %s: %w", name, err)
	}
	return e, nil
}

func attach(ctx context.Context, name string, o Options) (*Enclave, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := o.checkAttach(); err != nil {
		return nil, fmt.Errorf("options: %w", err)
	}
	path, err := rendezvous.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	told, t, conn, err := rendezvous.Attach(ctx, path, rendezvous.AttachRequest{Memory: uint64(o.LaneMemory)})
	var refused *rendezvous.Refused
	if errors.As(err, &refused) {
		err = fmt.Errorf("%w: %w", ErrAttach, err)
	}
	if err != nil {
		return nil, err
	}
	e, err := newAttached(told, t, conn, o)
	if err != nil {
		discard(t)
		conn.Close()
		return nil, err
	}
	return e, nil
}

// checkAttach returns every fault of the options that count for Attach, joined.
func (o Options) checkAttach() error {
	var f faults
	f.check(o.LaneMemory < 0, "LaneMemory", "%d is negative", o.LaneMemory)
	f.check(o.Workers < 0, "Workers", "%d is negative", o.Workers)
	f.check(o.Spin > maxSpin, "Spin", "%v is more than %v", o.Spin, maxSpin)
	return errors.Join(f.list...)
}

// newAttached opens the lane that the owner handed over.
func newAttached(told rendezvous.Attached, t *tee.Lane, conn *net.UnixConn, o Options) (*Enclave, error) {
	var a about
	if err := json.Unmarshal(told.About, &a); err != nil {
		return nil, fmt.Errorf("%w: %w", rendezvous.ErrProtocol, err)
	}
	if err := a.Manifest.Validate(); err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", rendezvous.ErrProtocol, err)
	}
	img := &image.Image{Digest: told.Digest, Signer: told.Signer, Manifest: a.Manifest}
	if err := o.allow(img); err != nil {
		return nil, err
	}
	if o.Workers == 0 {
		o.Workers = int(min(told.Workers, uint32(a.Manifest.Workers)))
	}
	e := newEnclave(control.Printable(a.TEE), img, o)
	for i, c := range a.Contracts {
		a.Contracts[i] = control.Printable(c)
	}
	e.contracts.Store(&a.Contracts)
	if o.Services != nil {
		o.Services(e)
	}
	link := &link{Conn: t.Bell, owner: conn, protections: a.Protections}
	t.Bell = link
	e.confined = link
	lane, err := shm.Open(t, shm.Host, gate{e}, shm.Config{Workers: o.Workers, Spin: o.Spin, TimeEvery: o.TimeEvery, Cause: errGone})
	if err != nil {
		return nil, err
	}
	e.lane.Store(lane)
	close(e.opened)
	go link.follow()
	go e.tend(link)
	return e, nil
}

// errGone is what calls fail with when an attached process's lane breaks.
func errGone() error { return fmt.Errorf("%w: the enclave or its owner has ended", tee.ErrLost) }

// tend waits for the end of an attached process's lane, or for Close.
func (e *Enclave) tend(k *link) {
	defer close(e.done)
	lane := e.lane.Load()
	select {
	case <-e.closing:
		lane.Close()
	case <-lane.Done():
		why := lane.Err()
		if e.fault.CompareAndSwap(nil, &why) {
			e.err = why
			e.log.Warn("enclave lost", "enclave", e.id.Manifest.Name, "reason", why)
		}
	}
	e.released = k.Close()
	join(lane)
}

// link is what connects an attached process: the bell of its lane, and the
// connection to the enclave's owner. The end of either is the end of both.
type link struct {
	net.Conn
	owner       *net.UnixConn
	protections []tee.Protection
	once        sync.Once
	err         error
}

// follow waits for the owner's end.
func (k *link) follow() {
	_, _ = io.CopyN(io.Discard, k.owner, 1) // nothing comes until the end
	k.Close()
}

// Close ends the lane and tells the owner so.
func (k *link) Close() error {
	k.once.Do(func() {
		k.err = errors.Join(k.Conn.Close(), k.owner.Close())
	})
	return k.err
}

// Protections is what the owner said of the enclave's confinement.
func (k *link) Protections() []tee.Protection { return k.protections }
