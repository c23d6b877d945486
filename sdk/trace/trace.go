// Package trace carries W3C trace contexts (Recommendation "Trace Context", 23
// November 2021) across the boundary, in both directions:
//
//	ctx, err := trace.With(ctx, r.Header.Get("traceparent"), r.Header.Get("tracestate"))
//	…
//	text, err := greeter.Hello(ctx, "world")
//
// The handler finds it in its context ([From]), and calls that it makes with
// that context carry it on, until [With] replaces it. It makes no spans and
// sends nothing anywhere: docs/watching.md shows how to join it with what does.
//
// Calls without a trace context pay nothing for this; one costs a call 57 bytes
// or more.
//
// In a handler it is the other side's word. To an enclave it is text that the
// host chose: valid, so that it can be logged, and no more than that. What a
// handler gives on to others, and what it puts into a context itself, the other
// side can read.
package trace

import (
	"context"
	"errors"

	"github.com/secgear/secgear/sdk/internal/tracecontext"
	"github.com/secgear/secgear/sdk/shm"
)

// MaxState is the size of the largest tracestate that crosses, in bytes: what
// section 3.3 wants to be passed on at least.
const MaxState = tracecontext.MaxState

// ErrParent: a traceparent is not valid (section 3.2.2).
var ErrParent = errors.New("not a valid traceparent")

// With returns a context whose calls carry a trace context: the values of the
// headers traceparent and tracestate, of which the latter may be empty. One that
// is not valid, or longer than [MaxState], is left out, as section 3.3 says. The
// error matches [ErrParent], and the context is ctx then.
func With(ctx context.Context, traceparent, tracestate string) (context.Context, error) {
	c, ok := tracecontext.New(traceparent, tracestate)
	if !ok {
		return ctx, ErrParent
	}
	return shm.WithTrace(ctx, c), nil
}

// From returns the trace context of ctx as values of the two headers; ok is
// false if there is none. traceparent is of version 00.
func From(ctx context.Context) (traceparent, tracestate string, ok bool) {
	c, ok := shm.Trace(ctx)
	return c.Parent, c.State, ok
}
