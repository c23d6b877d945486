package shm

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secgear/secgear/sdk/internal/tracecontext"
)

// callContext is the context of a handler: it ends when the caller gives up,
// when the time that the caller left is over, when the lane ends, or when the
// handler has returned. It is part of its Request and used again with it,
// unless the handler has touched it and so may have kept it.
type callContext struct {
	q        *Request
	deadline time.Time   // zero: none
	touched  atomic.Bool // seen by code that may keep it
	over     atomic.Bool // err is set

	mu    sync.Mutex
	err   error
	done  chan struct{} // made on demand
	timer *time.Timer
}

type laneKey struct{}

// within returns the request whose handler ctx belongs to, or nil, whether ctx
// can end, and its trace context, or nil; a handler's context, a traced one, and
// what derives from either, always can end.
func within(ctx context.Context) (q *Request, bounded bool, trace *tracecontext.Context) {
	if c, ok := ctx.(*callContext); ok {
		return c.q, true, c.q.trace
	}
	if ctx == nil || ctx.Done() == nil {
		return nil, false, nil
	}
	switch v := ctx.Value(laneKey{}).(type) {
	case *Request:
		return v, true, v.trace
	case *traced:
		return v.within, true, v.trace
	}
	return nil, true, nil
}

// Current returns the lane of the call that ctx belongs to, or nil when ctx is
// not a handler's or derived from one.
func Current(ctx context.Context) *Lane {
	if q, _, _ := within(ctx); q != nil {
		return q.lane
	}
	return nil
}

// deadline is ctx.Deadline without touching a handler's context.
func deadline(ctx context.Context) (time.Time, bool) {
	if c, ok := ctx.(*callContext); ok {
		return c.deadline, !c.deadline.IsZero()
	}
	return ctx.Deadline()
}

// contextErr is ctx.Err without touching a handler's context.
func contextErr(ctx context.Context) error {
	if c, ok := ctx.(*callContext); ok {
		return c.check()
	}
	if ctx.Done() == nil {
		return nil
	}
	return ctx.Err()
}

// Deadline implements [context.Context].
func (c *callContext) Deadline() (time.Time, bool) {
	c.touch()
	return c.deadline, !c.deadline.IsZero()
}

// Done implements [context.Context].
func (c *callContext) Done() <-chan struct{} {
	c.touch()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		} else if !c.deadline.IsZero() {
			c.timer = time.AfterFunc(time.Until(c.deadline), func() { c.cancel(context.DeadlineExceeded) })
		}
	}
	return c.done
}

// Err implements [context.Context].
func (c *callContext) Err() error {
	c.touch()
	return c.check()
}

func (c *callContext) check() error {
	if c.over.Load() {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.err
	}
	if !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		c.cancel(context.DeadlineExceeded)
		return context.DeadlineExceeded
	}
	return nil
}

// Value implements [context.Context].
func (c *callContext) Value(key any) any {
	c.touch()
	if _, ok := key.(laneKey); ok {
		return c.q
	}
	return nil
}

func (c *callContext) touch() {
	if !c.touched.Load() {
		c.touched.Store(true)
	}
}

// cancel ends the context with err, unless it has ended.
func (c *callContext) cancel(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	c.over.Store(true)
	if c.done != nil {
		close(c.done)
	}
	if c.timer != nil {
		c.timer.Stop()
	}
}

// begin makes the context ready for a call that has timeout microseconds left;
// 0 is no bound.
func (c *callContext) begin(timeout uint32) {
	c.deadline = time.Time{}
	if timeout != 0 {
		c.deadline = time.Now().Add(time.Duration(timeout) * time.Microsecond)
	}
	if c.over.Load() {
		c.mu.Lock() // the lane may be ending, or its peer cancel what it has not called
		c.over.Store(false)
		c.err = nil
		c.mu.Unlock()
	}
}

// end is called when the handler has returned. It returns whether the context
// may be used again.
func (c *callContext) end() (reusable bool) {
	if !c.touched.Load() {
		return true
	}
	c.cancel(context.Canceled)
	return false
}
