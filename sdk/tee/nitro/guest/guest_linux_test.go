package guest

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/nitro/internal/wire"
)

// newPair returns a platform and how to connect to it.
func newPair(t *testing.T) (*platform, func() net.Conn, net.Listener) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "enclave"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	m := image.DefaultManifest("test")
	m.Lanes = 2
	p := newPlatform(tee.Identity{Manifest: m}, nil)
	go p.serve(l.Accept)
	return p, func() net.Conn {
		c, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}, l
}

// begin begins a stream, and returns it with how it was answered.
func begin(t *testing.T, c net.Conn, kind wire.Kind, token byte) (net.Conn, error) {
	t.Helper()
	if _, err := c.Write(wire.Preface(kind, wire.Token{token})); err != nil {
		t.Fatal(err)
	}
	return c, wire.ReadAnswer(c)
}

// TestOwner: the first control stream owns the enclave, and lanes are the
// owner's.
func TestOwner(t *testing.T) {
	p, dial, _ := newPair(t)
	refused := func(what string, err error) {
		t.Helper()
		if reason := wire.Refusal(""); !errors.As(err, &reason) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := begin(t, dial(), wire.Lane, 0)
	refused("a lane before the owner", err)
	c, err := begin(t, dial(), wire.Control, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.awaitOwner(); err != nil {
		t.Fatal(err)
	}
	_, err = begin(t, dial(), wire.Control, 1)
	refused("a second owner", err)
	_, err = begin(t, dial(), wire.Lane, 2)
	refused("a stranger's lane", err)

	bell, err := begin(t, dial(), wire.Lane, 1)
	if err != nil {
		t.Fatal(err)
	}
	l, err := p.AcceptLane()
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]net.Conn{{c, p.Control()}, {bell, l.Bell}, {l.Bell, bell}} {
		if _, err := pair[0].Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(pair[1], got); err != nil || string(got) != "hello" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if l.Mem != nil || l.Futex {
		t.Errorf("%+v", l)
	}
	l.Release()
}

// TestGarbage: what is no preface is hung up on, and changes nothing.
func TestGarbage(t *testing.T) {
	p, dial, _ := newPair(t)
	for name, b := range map[string][]byte{
		"nothing":        {},
		"another":        make([]byte, wire.PrefaceSize),
		"cut":            wire.Preface(wire.Control, wire.Token{})[:20],
		"unknown stream": append([]byte("secgear\x01\x09"), make([]byte, wire.PrefaceSize-9)...),
	} {
		c := dial()
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.UnixConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("%s: answered %d bytes, %v", name, n, err)
		}
	}
	if _, err := begin(t, dial(), wire.Control, 1); err != nil {
		t.Fatal(err)
	}
	if err := p.awaitOwner(); err != nil {
		t.Error(err)
	}
}

// TestManyLanes: lanes that nobody accepts are bounded.
func TestManyLanes(t *testing.T) {
	p, dial, _ := newPair(t)
	if _, err := begin(t, dial(), wire.Control, 1); err != nil {
		t.Fatal(err)
	}
	for range cap(p.lanes) {
		if _, err := begin(t, dial(), wire.Lane, 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := begin(t, dial(), wire.Lane, 1); err == nil {
		t.Error("one more was taken")
	}
	for range cap(p.lanes) {
		if _, err := p.AcceptLane(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNobody: without streams there is no owner, and no lane.
func TestNobody(t *testing.T) {
	p, _, l := newPair(t)
	l.Close()
	if err := p.awaitOwner(); !errors.Is(err, tee.ErrLost) {
		t.Errorf("owner: %v", err)
	}
	if _, err := p.AcceptLane(); !errors.Is(err, tee.ErrLost) {
		t.Errorf("lane: %v", err)
	}
}

// TestLacking: what Nitro has not is said to be unsupported, with what to do.
func TestLacking(t *testing.T) {
	p, _, _ := newPair(t)
	_, key := p.SealingKey(tee.PolicyImage, 1, [32]byte{})
	_, counter := p.Counter("a")
	_, increment := p.Increment("a")
	for what, err := range map[string]error{"key": key, "counter": counter, "increment": increment} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestSecret: secret memory is zero, can be used, and is bounded.
func TestSecret(t *testing.T) {
	p, _, _ := newPair(t)
	mem, free, err := p.Secret(100)
	if err != nil {
		t.Skipf("this machine locks no memory: %v", err)
	}
	if len(mem) != 100 || mem[99] != 0 {
		t.Errorf("%d bytes, %d", len(mem), mem[99])
	}
	mem[0] = 1
	free()
	for _, n := range []int{0, -1, 1 << 40} {
		if _, _, err := p.Secret(n); err == nil {
			t.Errorf("%d bytes", n)
		}
	}
}

// TestHeartbeat: AWS's tools hear what they expect.
func TestHeartbeat(t *testing.T) {
	a, b := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- greetTools(func(context.Context) (net.Conn, error) { return a, nil }) }()
	got := make([]byte, 1)
	if _, err := io.ReadFull(b, got); err != nil || got[0] != 0xb7 {
		t.Fatalf("%x, %v", got, err)
	}
	if _, err := b.Write(got); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := b.Read(got); err != io.EOF {
		t.Errorf("afterwards: %v", err)
	}
	nobody := errors.New("nobody")
	if err := greetTools(func(context.Context) (net.Conn, error) { return nil, nobody }); err != nobody {
		t.Errorf("nobody there: %v", err)
	}
}
