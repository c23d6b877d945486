package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/control"
	"github.com/secgear/secgear/sdk/internal/rendezvous"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
)

// Enclave is a running enclave. It implements [call.Caller] for what the
// enclave serves and [call.Registrar] for what it may call. Its methods are
// safe for concurrent use.
type Enclave struct {
	tee  string
	id   tee.Identity
	inst tee.Instance // nil: another process's
	opt  Options
	log  *slog.Logger
	mux  call.Mux
	talk *conversation

	listeners shm.Listeners
	socket    *rendezvous.Server // nil: none
	guests    guests             // lanes of other processes
	started   time.Time
	confined  interface{ Protections() []tee.Protection } // nil until launched

	lane   atomic.Pointer[shm.Lane] // nil until start has opened it
	opened chan struct{}            // closed when it is set

	contracts atomic.Pointer[[]string] // what the enclave said to serve

	fault     atomic.Pointer[error] // why no call can be made any more
	closeOnce sync.Once
	closing   chan struct{}
	done      chan struct{}
	err       error // why the enclave ended; set before done is closed
	released  error // what went wrong in ending it; set before done is closed
}

func newEnclave(name string, img *image.Image, o Options) *Enclave {
	e := &Enclave{
		tee:     name,
		id:      tee.Identity{Digest: img.Digest, Signer: img.Signer, Manifest: img.Manifest},
		opt:     o,
		log:     o.Log,
		started: time.Now(),
		opened:  make(chan struct{}),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
	}
	e.mux.Log, e.mux.Debug = o.Log, true
	return e
}

// start greets the enclave, opens its lane and waits until it is ready.
func (e *Enclave) start(ctx context.Context, inst tee.Instance) error {
	e.inst, e.confined = inst, inst
	e.talk = newConversation(inst.Control(), newSink(e.log.With("enclave", e.id.Manifest.Name)), &e.contracts)
	go e.talk.listen()
	if err := e.greet(ctx); err != nil {
		return err
	}
	t, err := e.inst.OpenLane(ctx, e.opt.LaneMemory)
	if err != nil {
		return e.notReady(ctx, fmt.Errorf("opening a lane: %w", err))
	}
	lane, err := shm.Open(t, shm.Host, gate{e}, shm.Config{
		Workers:     e.opt.Workers,
		Spin:        e.opt.Spin,
		TimeEvery:   e.opt.TimeEvery,
		Cooperative: cooperative(e.inst),
		Listeners:   &e.listeners,
		Cause:       e.cause,
	})
	if err != nil {
		discard(t)
		return err
	}
	e.lane.Store(lane)
	close(e.opened)
	select {
	case err := <-e.talk.answer:
		return err
	case <-e.talk.ended:
	case <-e.inst.Done():
	case <-ctx.Done():
	}
	return e.notReady(ctx, nil)
}

// greet sends the host's first message, bounded by ctx.
func (e *Enclave) greet(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { e.talk.conn.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	err := control.Write(e.talk.conn, &control.Hello{
		Version: control.Version,
		Level:   leastLevel(ctx, e.opt.Log),
		Workers: uint32(e.opt.Workers),
		Spin:    e.opt.Spin,
	})
	if err != nil {
		return e.notReady(ctx, fmt.Errorf("greeting the enclave: %w", err))
	}
	return nil
}

// notReady explains why the enclave did not become ready. The end of ctx comes
// first, then what the enclave said before it ended, then its end, and then
// err, which may have followed from any of them.
func (e *Enclave) notReady(ctx context.Context, err error) error {
	select {
	case <-e.talk.ended: // its last words have arrived
	case <-time.After(moment):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case answer := <-e.talk.answer:
		if answer != nil {
			return answer
		}
	default:
	}
	if err != nil && !e.over() {
		return err
	}
	return fmt.Errorf("before it was ready: %w", e.howLost())
}

// discard closes a lane that was not opened.
func discard(t *tee.Lane) {
	t.Bell.Close()
	if t.Release != nil {
		t.Release()
	}
}

// abandon ends an enclave that did not become ready.
func (e *Enclave) abandon() error {
	defer close(e.done)
	e.fault.CompareAndSwap(nil, &errClosed)
	e.listeners.End(errClosed)
	if lane := e.lane.Load(); lane != nil {
		lane.Close()
		defer join(lane)
	}
	err := e.inst.Close()
	e.talk.wait()
	return err
}

// Register offers a service to the enclave; generated code calls it. Offering
// two services of one contract panics.
func (e *Enclave) Register(s call.Service) { e.mux.Register(s) }

// Lane returns the lane for an ECALL made with ctx. Its error matches
// [tee.ErrClosed] after Close and [tee.ErrLost] after the enclave's death.
// While Close waits for the enclave to stop, only handlers of its own calls get
// the lane. What the enclave serves is its own to tell: the contract is ignored.
func (e *Enclave) Lane(ctx context.Context, _ *call.Contract) (*shm.Lane, error) {
	lane, fault := e.lane.Load(), e.fault.Load()
	switch {
	case lane == nil:
		return nil, errLoading
	case fault == nil:
		return lane, nil
	case errors.Is(*fault, tee.ErrClosed) && shm.Current(ctx) == lane:
		return lane, nil
	}
	return nil, *fault
}

// gate holds the enclave's first calls back until their handlers can call it in
// turn.
type gate struct{ e *Enclave }

func (g gate) ServeCall(ctx context.Context, q *shm.Request) {
	if g.e.lane.Load() == nil {
		<-g.e.opened
	}
	g.e.mux.ServeCall(ctx, q)
}

// MethodName implements [shm.Namer].
func (g gate) MethodName(contract uint32, method uint16) (string, string, bool) {
	return g.e.mux.MethodName(contract, method)
}

var errLoading = errors.New("the enclave is still being loaded")

// NewBuffer allocates n bytes of memory shared with the enclave. When the lane
// has no room it waits, bounded by ctx; an error that matches [shm.ErrTooLarge]
// says that it never will have.
func (e *Enclave) NewBuffer(ctx context.Context, n int) (shm.Buffer, error) {
	l, err := e.Lane(ctx, nil)
	if err != nil {
		return shm.Buffer{}, fmt.Errorf("allocating a shared buffer: %w", err)
	}
	b, err := l.NewBuffer(ctx, n)
	if err != nil {
		return b, fmt.Errorf("allocating a shared buffer: %w", err)
	}
	return b, nil
}

// TEE returns the name of the TEE that the enclave runs in.
func (e *Enclave) TEE() string { return e.tee }

// Identity returns what was launched.
func (e *Enclave) Identity() tee.Identity { return e.id }

// Digest returns the digest of the enclave's image.
func (e *Enclave) Digest() image.Digest { return e.id.Digest }

// Signer returns who signed the enclave's image.
func (e *Enclave) Signer() image.SignerID { return e.id.Signer }

// Manifest returns the manifest of the enclave's image.
func (e *Enclave) Manifest() image.Manifest { return e.id.Manifest }

// Contracts returns the names of the contracts that the enclave said to serve
// when it became ready.
func (e *Enclave) Contracts() []string {
	if list := e.contracts.Load(); list != nil {
		return slices.Clone(*list)
	}
	return nil
}

// Protections lists each piece of confinement around the enclave with whether
// it is in force.
func (e *Enclave) Protections() []tee.Protection {
	if e.confined == nil { // in Options.Services
		return nil
	}
	return e.confined.Protections()
}

// Done is closed when the enclave has ended, by Close or by itself, and all
// that it used is released.
func (e *Enclave) Done() <-chan struct{} { return e.done }

// Err returns why the enclave ended: nil before Done and after Close, else an
// error that matches [tee.ErrLost].
func (e *Enclave) Err() error {
	select {
	case <-e.done:
		return e.err
	default:
		return nil
	}
}

// Close asks the enclave to stop, waits for that, for Options.Grace at most,
// and then ends it by force. Calls begun after it fail with [tee.ErrClosed];
// those in flight may still end well, or fail so too. Close may be called
// again, and at the same time; called by a handler of the enclave's calls it
// waits for that handler, but no longer than a second. Its error is about
// releasing what the enclave used; how an enclave died is Err's to tell.
func (e *Enclave) Close() error {
	e.closeOnce.Do(func() {
		e.fault.CompareAndSwap(nil, &errClosed)
		e.listeners.End(errClosed)
		close(e.closing)
	})
	<-e.done
	return e.released
}

// cooperative tells whether both sides of inst share this process.
func cooperative(inst tee.Instance) bool {
	c, ok := inst.(interface{ Cooperative() bool })
	return ok && c.Cooperative()
}
