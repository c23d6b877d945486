package enclave

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/interior"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
)

// Enclave is the running enclave, seen from inside. It implements
// [call.Registrar] for what it serves and [call.Caller] for what it calls. Its
// methods are safe for concurrent use.
type Enclave struct {
	platform  tee.Platform
	id        tee.Identity
	mux       call.Mux
	own       call.Mux // the runtime's own service
	services  services // that may be called
	listeners shm.Listeners
	serving   atomic.Bool // calls are handed to mux
	out       *outbox     // to the host
	log       *slog.Logger
	workers   int
	spin      time.Duration

	ctx  context.Context // until the host wants us to stop, or is gone
	stop context.CancelFunc
	gone chan struct{} // closed when the host is gone
	why  error         // set before gone is closed
	once sync.Once     // closes gone

	owner     chan struct{} // closed when ownerLane is set
	ownerLane *shm.Lane

	memory *shm.Budget   // of all lanes
	room   chan struct{} // capacity 1: a lane has gone
	dead   uint64        // bytes of lanes that have gone since they were last collected

	mu    sync.Mutex
	lanes map[*shm.Lane]struct{} // nil once the enclave has ended
	slots int                    // lanes being opened or open
	past  shm.Stats              // of lanes that have ended
	hooks []func(context.Context)
}

// Register offers a service to the host; generated code calls it. Offering two
// services of one contract panics. Services may be registered after setup too.
func (e *Enclave) Register(s call.Service) { e.mux.Register(s) }

// Lane returns the lane for an OCALL made with ctx: while a call is being
// handled with ctx the one it came over, otherwise the lane of the process that
// loaded the enclave. It waits for that lane, bounded by ctx. Its error matches
// [ErrNotAllowed] when c is a contract that the manifest does not list (nil is
// for buffers), and [tee.ErrLost] when the host is gone.
func (e *Enclave) Lane(ctx context.Context, c *call.Contract) (*shm.Lane, error) {
	if c != nil {
		if err := e.services.check(c); err != nil {
			return nil, err
		}
	}
	if l := shm.Current(ctx); l != nil {
		return l, nil
	}
	select {
	case <-e.owner:
		return e.ownerLane, nil
	default:
	}
	select {
	case <-e.owner:
		return e.ownerLane, nil
	case <-e.gone:
		return nil, e.why
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// NewBuffer allocates n bytes of memory shared with the host, on the lane that
// Lane returns. When the lane has no room it waits, bounded by ctx; an error
// that matches [shm.ErrTooLarge] says that it never will have. The host can
// change the buffer at any moment: copy what is to be relied on.
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

// TEE returns the name of the TEE that the enclave runs in: "sim", "vm", …
func (e *Enclave) TEE() string { return e.platform.Name() }

// Identity says what runs here, as the TEE measured it.
func (e *Enclave) Identity() tee.Identity { return e.id }

// Manifest returns what the image was signed with.
func (e *Enclave) Manifest() image.Manifest { return e.id.Manifest }

// Log returns a logger whose records go to the host, where anybody may read
// them: log no secrets. Records never delay the program; when the host does not
// keep up they are dropped and counted. Long messages and values are cut off.
// The host decides the least level that is sent.
func (e *Enclave) Log() *slog.Logger { return e.log }

// Context is cancelled when the host asks the enclave to stop, or is gone. Work
// that goes on between calls ends with it.
func (e *Enclave) Context() context.Context { return e.ctx }

// OnShutdown adds a hook to run when the host asks the enclave to stop, before
// it does; the hook added last runs first. Hooks may make OCALLs. Their
// context is cancelled when the host is gone; how long it waits is up to the
// host, and a host that simply ends gives no notice: what must not be lost
// can't be left to a hook.
func (e *Enclave) OnShutdown(hook func(ctx context.Context)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hooks = append(e.hooks, hook)
}

// leave notes that the host is gone, for the reason why.
func (e *Enclave) leave(why error) {
	e.once.Do(func() {
		e.why = why
		close(e.gone)
		e.stop()
	})
}

// gate hands calls to the services once setup is over, and refuses them before.
// Calls that come while the enclave stops are served: a host that means well
// begins none then, save those nested in the enclave's own.
type gate struct{ e *Enclave }

func (g gate) ServeCall(ctx context.Context, q *shm.Request) {
	switch {
	case !g.e.serving.Load():
		var none call.Mux
		none.ServeCall(ctx, q)
	case q.Contract() == interior.ID:
		g.e.own.ServeCall(ctx, q)
	default:
		g.e.mux.ServeCall(ctx, q)
	}
}

// MethodName implements [shm.Namer].
func (g gate) MethodName(contract uint32, method uint16) (string, string, bool) {
	if contract == interior.ID {
		return g.e.own.MethodName(contract, method)
	}
	return g.e.mux.MethodName(contract, method)
}
