package shm

import (
	"context"
	"fmt"

	"github.com/secgear/secgear/sdk/internal/ring"
	"github.com/secgear/secgear/sdk/internal/tracecontext"
)

// traced is a context with a trace context. It answers for laneKey, so that a
// call looks for both at once; and it says that it can end, so that a call whose
// context can't need not look at all.
type traced struct {
	context.Context
	within *Request // whose handler's context it derives from, or nil
	trace  *tracecontext.Context
}

// never is the Done channel of traced contexts that can't end.
var never = make(chan struct{})

// WithTrace returns a context whose calls carry c to the other side, nested
// calls too. Programs use package sdk/trace.
func WithTrace(ctx context.Context, c tracecontext.Context) context.Context {
	t := &traced{Context: ctx, trace: &c}
	switch v := ctx.Value(laneKey{}).(type) { // which keeps a handler's context
	case *Request:
		t.within = v
	case *traced:
		t.within = v.within
	}
	return t
}

// Trace returns the trace context of ctx: that of the call that it belongs to,
// as the other side told, or one given since. ok is false if there is none.
func Trace(ctx context.Context) (c tracecontext.Context, ok bool) {
	_, _, t := within(ctx)
	if t == nil {
		return c, false
	}
	return *t, true
}

// Done implements [context.Context].
func (t *traced) Done() <-chan struct{} {
	if done := t.Context.Done(); done != nil {
		return done
	}
	return never
}

// Value implements [context.Context].
func (t *traced) Value(key any) any {
	if _, ok := key.(laneKey); ok {
		return t
	}
	return t.Context.Value(key)
}

// AfterFunc spares package context a goroutine for each context derived from t.
func (t *traced) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(t.Context, f) }

// takeTrace takes the trace context off the arguments' beginning. One that is
// not valid counts as none.
func (q *Request) takeTrace() error {
	if q.sub.Flags != ring.FlagTrace {
		return fmt.Errorf("%w: flags %#x", ErrProtocol, q.sub.Flags)
	}
	c, size, ok := tracecontext.Take(q.args)
	if !ok {
		return fmt.Errorf("%w: malformed trace context", ErrProtocol)
	}
	q.trace, q.prefix = c, size
	return nil
}
