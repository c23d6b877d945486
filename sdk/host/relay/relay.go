// Package relay lets the network reach what listens in an enclave: it copies
// bytes between connections that it accepts and streams.
package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
)

// Serve connects whoever dials ln to what dial opens, a stream into an enclave
// as a rule, until ctx ends or ln fails, and returns when every connection has
// ended: nil if ctx did. It closes ln. What dial can't open is closed outside
// at once. One direction's end is passed on (CloseWrite) while the other goes on.
func Serve(ctx context.Context, ln net.Listener, dial func(context.Context) (net.Conn, error)) error {
	defer ln.Close()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		outside, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		wg.Go(func() {
			defer outside.Close()
			inside, err := dial(ctx)
			if err != nil {
				return // whoever dialled sees the connection close
			}
			defer inside.Close()
			join(ctx, outside, inside)
		})
	}
}

// join copies both ways until both directions have ended, or ctx.
func join(ctx context.Context, a, b net.Conn) {
	stop := context.AfterFunc(ctx, func() { errors.Join(a.Close(), b.Close()) })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { forward(a, b) })
	wg.Go(func() { forward(b, a) })
	wg.Wait()
}

// forward copies from one to the other and passes the end on. After a failure
// neither is of use.
func forward(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		errors.Join(to.Close(), from.Close())
		return
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}
