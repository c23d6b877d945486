package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
)

// TestServe: a connection that can't be made inside is closed outside, others go
// on, and the end of the context ends all.
func TestServe(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	fail := make(chan bool, 2)
	fail <- true
	fail <- false
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, ln, func(context.Context) (net.Conn, error) {
			if <-fail {
				return nil, errors.New("refused")
			}
			a, b := net.Pipe()
			go io.Copy(b, b)
			return a, nil
		})
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	if _, err := dial().Read(make([]byte, 1)); err == nil {
		t.Error("a connection without another end goes on")
	}
	c := dial()
	b := make([]byte, 4)
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "ping" {
		t.Errorf("%q, %v", b, err)
	}
	cancel()
	if _, err := c.Read(b); err == nil {
		t.Error("a connection outlives the relay")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
