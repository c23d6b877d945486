package enclavetest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/secgear/secgear/sdk/enclave"
	"github.com/secgear/secgear/sdk/enclavetest"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
)

// TestStreams: both sides dial what the other listens for; the enclave only what
// its manifest lists; and listeners end with the enclave.
func TestStreams(t *testing.T) {
	m := image.DefaultManifest("test")
	m.Services = []string{image.StreamService + "outside"}
	var inner *enclave.Enclave
	var ln net.Listener
	e := enclavetest.Start(t, func(e *enclave.Enclave) (err error) {
		inner = e
		ln, err = e.Listen("inside")
		return err
	}, enclavetest.WithManifest(m))
	outside, err := e.Listen("outside")
	if err != nil {
		t.Fatal(err)
	}
	meet := func(dial func(context.Context, string) (net.Conn, error), ln net.Listener) {
		t.Helper()
		a, err := dial(t.Context(), ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		b, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Write([]byte("hello")); err != nil {
			t.Error(err)
		}
		a.Close()
		if got, err := io.ReadAll(b); string(got) != "hello" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		b.Close()
	}
	meet(e.Dial, ln)
	meet(inner.Dial, outside)
	if _, err := inner.Dial(t.Context(), "elsewhere"); !errors.Is(err, enclave.ErrNotAllowed) {
		t.Errorf("not listed: %v", err)
	}
	if _, err := e.Dial(t.Context(), "elsewhere"); !errors.Is(err, shm.ErrRefused) {
		t.Errorf("nobody listens: %v", err)
	}
	e.Close()
	if _, err := outside.Accept(); !errors.Is(err, tee.ErrClosed) {
		t.Errorf("host's listener: %v", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("enclave's listener: %v", err)
	}
	if _, err := e.Dial(t.Context(), "inside"); !errors.Is(err, tee.ErrClosed) {
		t.Errorf("dial after close: %v", err)
	}
	if _, err := e.Listen("late"); !errors.Is(err, tee.ErrClosed) {
		t.Errorf("listen after close: %v", err)
	}
}

// TestSetupDials: what the host listens for in Options.Services is there for the
// enclave's setup.
func TestSetupDials(t *testing.T) {
	var ln net.Listener
	enclavetest.Start(t, func(e *enclave.Enclave) error {
		c, err := e.Dial(context.Background(), "config")
		if err != nil {
			return err
		}
		return c.Close()
	}, enclavetest.WithServices(func(e *host.Enclave) {
		var err error
		if ln, err = e.Listen("config"); err != nil {
			t.Error(err)
		}
	}))
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); len(got) != 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	c.Close()
}
