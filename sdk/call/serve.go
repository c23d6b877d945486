package call

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"github.com/secgear/secgear/sdk/shm"
)

// Request is a call being handled.
type Request struct{ in *shm.Request }

// Args has d decode the arguments.
func (q Request) Args(d *Decoder) {
	d.buf, d.owned, d.from = q.in.Args(), q.in.Owned(), q.in
}

// Results makes room for results of size bytes, which e is to encode.
func (q Request) Results(size int, e *Encoder) {
	e.buf, e.err = q.in.Results(size)
	e.to = q.in
}

// Send hands the results to the lane, which publishes them when Dispatch has
// returned.
func (q Request) Send(e *Encoder) error {
	return e.End()
}

// Mux hands incoming calls to the services registered with it. The zero Mux
// is ready to use.
type Mux struct {
	services atomic.Pointer[[]Service]

	// Log hears of panics in handlers, with their stack if Debug. May be nil.
	Log   *slog.Logger
	Debug bool
}

// Register adds s. It panics if the contract is served already: that is a
// mistake in the program, not in its input.
func (m *Mux) Register(s Service) {
	for {
		old := m.services.Load()
		var list []Service
		if old != nil {
			list = append(list, *old...)
		}
		for _, have := range list {
			if have.Contract.ID == s.Contract.ID {
				panic("secgear: contract registered twice: " + s.Contract.Name)
			}
		}
		list = append(list, s)
		if m.services.CompareAndSwap(old, &list) {
			return
		}
	}
}

// Contracts lists what is served.
func (m *Mux) Contracts() []*Contract {
	var out []*Contract
	if list := m.services.Load(); list != nil {
		for _, s := range *list {
			out = append(out, s.Contract)
		}
	}
	return out
}

// MethodName implements [shm.Namer].
func (m *Mux) MethodName(contract uint32, method uint16) (contractName, methodName string, ok bool) {
	s := m.find(contract)
	if s == nil || int(method) >= len(s.Contract.Methods) {
		return "", "", false
	}
	return s.Contract.Name, s.Contract.Methods[method].Name, true
}

// ServeCall implements [shm.Handler].
func (m *Mux) ServeCall(ctx context.Context, in *shm.Request) {
	s := m.find(in.Contract())
	if s == nil {
		m.fail(in, nil, fmt.Errorf("%w here; served are: %s", ErrNoContract, m.names()))
		return
	}
	err := in.Err()
	if err == nil {
		err = m.dispatch(ctx, s, in)
	}
	if err != nil {
		m.fail(in, s.Contract.Errors, err)
	}
}

func (m *Mux) find(id uint32) *Service {
	list := m.services.Load()
	if list == nil {
		return nil
	}
	for i := range *list {
		if (*list)[i].Contract.ID == id {
			return &(*list)[i]
		}
	}
	return nil
}

func (m *Mux) names() string {
	var names []string
	for _, c := range m.Contracts() {
		names = append(names, fmt.Sprintf("%s (%08x)", c.Name, c.ID))
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (m *Mux) dispatch(ctx context.Context, s *Service, in *shm.Request) (err error) {
	defer func() {
		if r := recover(); r != nil {
			m.logPanic(s.Contract, in.Method(), r)
			err = ErrPanic
		}
	}()
	return s.Dispatch(ctx, in.Method(), Request{in})
}

func (m *Mux) logPanic(c *Contract, method uint16, value any) {
	if m.Log == nil {
		return
	}
	attrs := []any{"contract", c.Name, "method", c.method(method)}
	if m.Debug { // a panic's value may hold secrets
		attrs = append(attrs, "panic", fmt.Sprint(value), "stack", string(debug.Stack()))
	}
	m.Log.Error("handler panicked", attrs...)
}

func (m *Mux) fail(in *shm.Request, sentinels []error, err error) {
	text := err.Error()
	if len(text) > MaxErrorText {
		text = text[:MaxErrorText]
	}
	in.Fail(status(err, sentinels), text)
}
