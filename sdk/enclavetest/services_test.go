package enclavetest_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/secgear/secgear/sdk/enclave"
	"github.com/secgear/secgear/sdk/enclavetest"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/image"
)

// TestServices: an enclave calls what its manifest lists of what the host
// serves, in setup and in handlers.
func TestServices(t *testing.T) {
	listing := func(services ...string) []enclavetest.Option {
		m := image.DefaultManifest("test")
		m.Services = services
		return []enclavetest.Option{enclavetest.WithManifest(m)}
	}
	tests := []struct {
		name    string
		opts    []enclavetest.Option
		allowed bool
	}{
		{"listed", listing("test.Another", outside.Name), true},
		{"all", listing(image.AnyService), true},
		{"no manifest", nil, true},
		{"not listed", listing("test.Another"), false},
		{"empty list", listing(), false},
		{"secgear.json without any", []enclavetest.Option{enclavetest.WithPackage("testdata/echo")}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var served atomic.Int32
			serving := enclavetest.WithServices(func(r *host.Enclave) {
				serve(r, outside, func(context.Context, string) (string, error) { served.Add(1); return "", nil })
			})
			check := func(err error) {
				if tt.allowed && err != nil {
					t.Errorf("refused: %v", err)
				}
				if !tt.allowed && (!errors.Is(err, enclave.ErrNotAllowed) || !strings.HasPrefix(err.Error(), outside.Name+".Do")) {
					t.Errorf("got %v", err)
				}
			}
			e := enclavetest.Start(t, func(e *enclave.Enclave) error {
				_, err := do(context.Background(), e, outside, 0, "")
				check(err)
				serve(e, inside, func(ctx context.Context, _ string) (string, error) {
					_, err := do(ctx, e, outside, 1, "")
					check(err)
					b, err := e.NewBuffer(ctx, 1) // needs no service
					if err != nil {
						return "", err
					}
					return "", b.Free()
				})
				return nil
			}, append(tt.opts, serving)...)
			if _, err := do(t.Context(), e, inside, 0, ""); err != nil {
				t.Fatal(err)
			}
			if n := served.Load(); (n == 2) != tt.allowed || (n == 0) == tt.allowed {
				t.Errorf("%d calls reached the host", n)
			}
		})
	}
}
