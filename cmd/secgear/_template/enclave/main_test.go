package main

import (
	"context"
	"errors"
	"testing"
	"time"

	demo "example.com/template"

	"github.com/secgear/secgear/sdk/enclavetest"
	"github.com/secgear/secgear/sdk/host"
)

// clock is a host's clock that stands still.
type clock time.Time

func (c clock) Now(context.Context) (time.Time, error) { return time.Time(c), nil }

// TestHello runs the enclave in the test's own process: no image, no
// privileges, and a debugger can look inside.
func TestHello(t *testing.T) {
	noon := clock(time.Date(2030, time.May, 1, 12, 0, 0, 0, time.UTC))
	e := enclavetest.Start(t, setup, enclavetest.WithServices(func(h *host.Enclave) {
		demo.RegisterClock(h, noon)
	}))
	greeter := demo.NewGreeterClient(e)

	text, err := greeter.Hello(t.Context(), "Ada")
	if err != nil {
		t.Fatal(err)
	}
	if want := "Good afternoon, Ada!"; text != want {
		t.Errorf("Hello: %q, want %q", text, want)
	}
	if _, err := greeter.Hello(t.Context(), ""); !errors.Is(err, demo.ErrNobody) {
		t.Errorf("Hello to nobody: %v, want %v", err, demo.ErrNobody)
	}
}
