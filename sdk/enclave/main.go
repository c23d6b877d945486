package enclave

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/secgear/secgear/sdk/internal/control"
	"github.com/secgear/secgear/sdk/internal/interior"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
)

// Main runs the enclave and never returns. It finds the TEE that the program
// was started in, runs setup, tells the host that the enclave is ready or, when
// setup fails or panics, why not, and serves calls until the host asks it to
// stop or is gone.
//
// Started without a TEE, as any other program, it says so and exits with
// status 2.
func Main(setup func(*Enclave) error) {
	p, err := platform()
	if err != nil {
		fmt.Fprintf(os.Stderr, "secgear: %v\n", err)
		if errors.Is(err, errNoTEE) {
			fmt.Fprintln(os.Stderr, "hint: build an image of it with \"secgear build\" and load that, or do both with \"secgear run\"")
		}
		os.Exit(2)
	}
	debug.SetGCPercent(gcPercent)
	if err := Run(p, setup); err != nil {
		if !errors.Is(err, errTold) && !errors.Is(err, tee.ErrLost) {
			fmt.Fprintf(os.Stderr, "secgear: running the enclave: %v\n", err)
		}
		os.Exit(1)
	}
	os.Exit(0)
}

// gcPercent lets the heap grow to a multiple of what is live before it is
// collected. Copied arguments are garbage soon; the memory that the manifest
// grants bounds the heap all the same, through the runtime's memory limit.
const gcPercent = 400

// errNoTEE: the program was started as any other.
var errNoTEE = errors.New("this program is an enclave and was started without a TEE around it")

// errTold is matched by errors that the host was told.
var errTold = errors.New("the host was told")

// Run is [Main] on a given platform: it returns nil when the enclave has
// stopped because the host asked for it, and otherwise why it ended; the error
// matches [tee.ErrLost] when the host went away. Programs call Main; Run is for
// those that bring a platform of their own, as tests do. It runs setup on
// another goroutine, and handlers that still run when it returns are not waited
// for. It closes the platform's control stream.
//
// A platform whose two sides share a process has the method Cooperative() bool
// returning true, so that waiting for the other side yields to it; with it, Run
// also waits for handlers that end with their context.
func Run(p tee.Platform, setup func(*Enclave) error) error {
	defer p.Control().Close()
	hello, err := greet(p)
	if err != nil {
		return err
	}
	e := newEnclave(p, hello)
	defer e.end()
	asked := make(chan struct{}) // closed when the host asks for shutdown
	go e.listen(asked)
	go e.acceptLanes()
	if err := e.prepare(setup); err != nil {
		return err
	}
	return e.serve(asked)
}

// greet waits for the host's greeting.
func greet(p tee.Platform) (*control.Hello, error) {
	m, err := control.Read(p.Control())
	if err != nil {
		return nil, fmt.Errorf("waiting for the host: %w", lost(err))
	}
	hello, ok := m.(*control.Hello)
	if !ok {
		return nil, fmt.Errorf("waiting for the host: %w: it does not greet", control.ErrProtocol)
	}
	if hello.Version != control.Version {
		err := fmt.Errorf("host speaks version %d of the control protocol and the enclave version %d", hello.Version, control.Version)
		if sent := control.Write(p.Control(), &control.Failed{Text: err.Error()}); sent != nil {
			return nil, errors.Join(err, sent)
		}
		return nil, fmt.Errorf("%w (%w)", err, errTold)
	}
	return hello, nil
}

// lost marks the end of the control stream for what it means.
func lost(err error) error {
	if errors.Is(err, control.ErrProtocol) {
		return err
	}
	return fmt.Errorf("%w: %w", tee.ErrLost, err)
}

// maxSpin bounds how long the host can make each wait burn a processor.
const maxSpin = time.Millisecond

func newEnclave(p tee.Platform, hello *control.Hello) *Enclave {
	e := &Enclave{
		platform: p,
		id:       p.Identity(),
		services: allow(p.Identity().Manifest.Services),
		gone:     make(chan struct{}),
		owner:    make(chan struct{}),
		lanes:    make(map[*shm.Lane]struct{}),
		memory:   shm.NewBudget(int64(p.Identity().Manifest.Memory / 2)),
		room:     make(chan struct{}, 1),
		spin:     min(max(hello.Spin, -1), maxSpin),
	}
	e.workers = max(e.id.Manifest.Workers, 1)
	if hello.Workers != 0 && uint64(hello.Workers) < uint64(e.workers) {
		e.workers = int(hello.Workers)
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	context.AfterFunc(e.ctx, func() { e.listeners.End(net.ErrClosed) })
	e.out = newOutbox(p.Control(), e.gone)
	e.log = newLogger(e.out, hello.Level)
	e.mux.Log, e.mux.Debug = e.log, e.id.Manifest.Debug
	e.own.Log, e.own.Debug = e.log, e.id.Manifest.Debug
	interior.RegisterInside(&e.own, ownService{e})
	return e
}

// listen follows what the host says, until it is gone.
func (e *Enclave) listen(asked chan<- struct{}) {
	for first := true; ; first = false {
		m, err := control.Read(e.platform.Control())
		if err != nil {
			e.leave(lost(err))
			return
		}
		if _, ok := m.(*control.Shutdown); !ok || !first {
			e.leave(fmt.Errorf("%w: the host sent a message out of order", control.ErrProtocol))
			return
		}
		e.stop()
		close(asked)
	}
}

// prepare runs setup and tells the host how it went.
func (e *Enclave) prepare(setup func(*Enclave) error) error {
	done := make(chan error, 1)
	go e.runSetup(setup, done)
	var err error
	select {
	case err = <-done:
	case <-e.gone:
		return e.why
	}
	if err != nil {
		e.out.flush(&control.Failed{Text: err.Error()})
		return fmt.Errorf("%w (%w)", err, errTold)
	}
	e.serving.Store(true)
	ready := &control.Ready{Version: control.Version}
	for _, c := range e.mux.Contracts() {
		ready.Contracts = append(ready.Contracts, control.Contract{ID: c.ID, Name: c.Name})
	}
	e.out.flush(ready)
	return nil
}

// runSetup sends what comes of setup to done, even if it does not return.
func (e *Enclave) runSetup(setup func(*Enclave) error, done chan<- error) {
	err := errors.New("setup ended its goroutine")
	defer func() {
		if v := recover(); v != nil {
			err = e.panicked(v)
		}
		done <- err
	}()
	err = setup(e)
}

// panicked describes a panic in setup. Its value may hold secrets.
func (e *Enclave) panicked(v any) error {
	if !e.id.Manifest.Debug {
		return errors.New("setup panicked (an image with \"debug\" set tells more)")
	}
	return fmt.Errorf("setup panicked: %v\n%s", v, debug.Stack())
}

// serve waits for the end and goes through shutdown if the host asks for it.
func (e *Enclave) serve(asked <-chan struct{}) error {
	select {
	case <-asked:
		e.runHooks()
		e.out.flush(&control.Stopped{})
	case <-e.gone:
	}
	<-e.gone // the host hangs up when it has closed its lanes
	select {
	case <-asked:
		if errors.Is(e.why, tee.ErrLost) {
			return nil
		}
	default:
	}
	return e.why
}

// runHooks runs the shutdown hooks, last one first, until the host is gone.
func (e *Enclave) runHooks() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e.mu.Lock()
	hooks := e.hooks
	e.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := len(hooks) - 1; i >= 0; i-- {
			e.runHook(ctx, hooks[i])
		}
	}()
	select {
	case <-done:
	case <-e.gone:
	}
}

// runHook keeps a hook that panics from stopping the others.
func (e *Enclave) runHook(ctx context.Context, hook func(context.Context)) {
	defer func() {
		if v := recover(); v != nil {
			e.log.Error("shutdown hook panicked")
		}
	}()
	hook(ctx)
}

// end releases what Run began.
func (e *Enclave) end() {
	e.leave(tee.ErrClosed)
	e.mu.Lock()
	lanes := e.lanes
	e.lanes = nil
	e.mu.Unlock()
	for l := range lanes {
		l.Close()
	}
	e.platform.Control().Close()
	e.out.wait()
	if cooperative(e.platform) { // else the process ends
		join(lanes)
	}
}

// join waits for the handlers of closed lanes, whose contexts have ended, but
// not for those that don't care.
func join(lanes map[*shm.Lane]struct{}) {
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		for l := range lanes {
			l.Join()
		}
	}()
	select {
	case <-joined:
	case <-time.After(time.Second):
	}
}
