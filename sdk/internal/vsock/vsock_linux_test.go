package vsock

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// local is this machine, for itself.
const local = 1

// listen listens on a port that nobody has.
func listen(t *testing.T) (*Listener, uint32) {
	t.Helper()
	const ports, first = 100, 50_000
	for port := uint32(first); port < first+ports; port++ {
		if l, err := Listen(port); err == nil {
			t.Cleanup(func() { l.Close() })
			return l, port
		} else if port == first+ports-1 {
			t.Skipf("this kernel has no vsock to itself (module vsock_loopback): %v", err)
		}
	}
	return nil, 0
}

// TestConn: bytes go to and fro, and ends are seen.
func TestConn(t *testing.T) {
	l, port := listen(t)
	dialed, err := Dial(t.Context(), Addr{local, port})
	if err != nil {
		t.Skipf("this kernel has no vsock to itself (module vsock_loopback): %v", err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]net.Conn{{dialed, accepted}, {accepted, dialed}} {
		if _, err := pair[0].Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(pair[1], got); err != nil || string(got) != "hello" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	dialed.Close()
	if _, err := accepted.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the other end: %v", err)
	}
	if _, err := dialed.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestDialNobody: to connect to nobody is an error, at the latest with the
// context.
func TestDialNobody(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if c, err := Dial(ctx, Addr{local, 49_999}); err == nil {
		c.Close()
		t.Error("connected")
	}
	cancel()
	if _, err := Dial(ctx, Addr{local, 49_999}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context: %v", err)
	}
}

// TestClosedListener: whoever waits for a connection gets to know.
func TestClosedListener(t *testing.T) {
	l, _ := listen(t)
	end := make(chan error)
	go func() {
		_, err := l.Accept()
		end <- err
	}()
	l.Close()
	if err := <-end; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepting: %v", err)
	}
}
