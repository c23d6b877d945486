package enclavetest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/enclave"
	_ "github.com/secgear/secgear/sdk/enclave/pprof"
	"github.com/secgear/secgear/sdk/enclavetest"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/trace"
)

// TestStats: both sides count calls by name, and the runtime's own not at all.
func TestStats(t *testing.T) {
	e := enclavetest.Start(t, setup, enclavetest.WithOptions(func(o *host.Options) { o.TimeEvery = 1 }))
	for method := range uint16(2) {
		for range 3 {
			if _, err := do(t.Context(), e, inside, method, "hello"); err != nil {
				t.Fatal(err)
			}
		}
	}
	in, err := e.Inside(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if in.Lanes != 1 || in.Goroutines == 0 || in.MemoryBytes == 0 || in.HeapBytes == 0 || in.Workers == 0 {
		t.Errorf("inside: %+v", in)
	}
	s := e.Stats()
	for name, list := range map[string][]shm.MethodStats{"made": s.Made, "served": in.Served} {
		if len(list) != 2 || list[0].Method != "Do" || list[1].Method != "DoSwitched" || list[0].Contract != inside.Name {
			t.Fatalf("%s: %+v", name, list)
		}
		for _, m := range list {
			if m.Begun != 3 || m.Failed != 0 || m.InFlight != 0 || m.Latency.Count != 3 {
				t.Errorf("%s: %+v", name, m)
			}
		}
		if list[0].BellBytes != 0 || list[0].InlineBytes == 0 || list[1].BellBytes == 0 || list[1].InlineBytes != 0 {
			t.Errorf("%s: bytes: %+v", name, list)
		}
	}
	if s.Name == "" || s.TEE != enclavetest.Name || s.Lanes != 1 || s.PID == 0 || s.UptimeNS <= 0 {
		t.Errorf("%+v", s)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if s := e.Stats(); s.Lanes != 0 || len(s.Made) != 2 {
		t.Errorf("after its end: %+v", s)
	}
	if _, err := e.Inside(t.Context()); err == nil {
		t.Error("an enclave that has ended answers")
	}
}

// TestServedByHost: OCALLs are counted with the host.
func TestServedByHost(t *testing.T) {
	services := func(r *host.Enclave) {
		serve(r, outside, func(context.Context, string) (string, error) { return "", errors.New("no") })
	}
	e := enclavetest.Start(t, func(e *enclave.Enclave) error {
		_, _ = do(context.Background(), e, outside, 0, "x")
		return nil
	}, enclavetest.WithServices(services))
	s := e.Stats()
	if len(s.Served) != 1 || s.Served[0].Contract != outside.Name || s.Served[0].Begun != 1 || s.Served[0].Failed != 1 {
		t.Errorf("%+v", s.Served)
	}
}

// debugImage is a manifest.
func debugImage(debug bool) enclavetest.Option {
	m := image.DefaultManifest("test")
	m.Debug = debug
	return enclavetest.WithManifest(m)
}

// unzip returns the content of a profile.
func unzip(t *testing.T, b []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("a profile of %d bytes: %v", len(b), err)
	}
	out, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestProfile(t *testing.T) {
	e := enclavetest.Start(t, setup, debugImage(true))
	for _, kind := range []string{"heap", "goroutine", "allocs", "threadcreate"} {
		b, err := e.Profile(t.Context(), kind, 0)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if text := unzip(t, b); kind == "goroutine" && !bytes.Contains(text, []byte("sdk/enclave")) {
			t.Errorf("%s: %d bytes", kind, len(text))
		}
	}
	for _, tt := range []struct {
		kind string
		over time.Duration
		want string
	}{
		{"secrets", 0, "there is no profile"},
		{"cpu", time.Hour, "at most"},
		{"cpu", -1, "at most"},
	} {
		if _, err := e.Profile(t.Context(), tt.kind, tt.over); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s over %v: %v", tt.kind, tt.over, err)
		}
	}
}

// TestProfileRefused: without "debug" nothing is told, although the program could.
func TestProfileRefused(t *testing.T) {
	e := enclavetest.Start(t, setup, debugImage(false))
	for _, kind := range []string{"cpu", "heap", "goroutine", "secrets"} {
		if b, err := e.Profile(t.Context(), kind, time.Second); !errors.Is(err, host.ErrNotDebug) || b != nil {
			t.Errorf("%s: %d bytes, %v", kind, len(b), err)
		}
	}
}

// TestProfileSandboxed: the sandbox lets a debug image profile itself.
func TestProfileSandboxed(t *testing.T) {
	e := enclavetest.Start(t, nil, enclavetest.Sandboxed(), enclavetest.WithPackage("testdata/profiled"))
	for _, kind := range []string{"cpu", "heap"} {
		b, err := e.Profile(t.Context(), kind, time.Second)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		unzip(t, b)
	}
}

// TestNoProfiler: a debug image that does not import sdk/enclave/pprof says so.
func TestNoProfiler(t *testing.T) {
	e := enclavetest.Start(t, nil, append(echo[:len(echo):len(echo)], debugImage(true))...)
	if _, err := e.Profile(t.Context(), "heap", 0); !errors.Is(err, host.ErrNoProfiler) {
		t.Errorf("got %v", err)
	}
}

// TestTraceCrosses: a trace context reaches the handler, and the host's handler
// of a call that it makes.
func TestTraceCrosses(t *testing.T) {
	seen := func(ctx context.Context, _ string) (string, error) {
		parent, state, _ := trace.From(ctx)
		return parent + " " + state, nil
	}
	e := enclavetest.Start(t, func(e *enclave.Enclave) error {
		serve(e, inside, func(ctx context.Context, s string) (string, error) {
			mine, _ := seen(ctx, s)
			hosts, err := do(ctx, e, outside, 1, s)
			return mine + "\n" + hosts, err
		})
		return nil
	}, enclavetest.WithServices(func(r *host.Enclave) { serve(r, outside, seen) }))
	const parent, state = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "congo=t61rcWkgMzE"
	ctx, err := trace.With(t.Context(), parent, state)
	if err != nil {
		t.Fatal(err)
	}
	want := parent + " " + state
	if got, err := do(ctx, e, inside, 0, "x"); err != nil || got != want+"\n"+want {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := do(t.Context(), e, inside, 0, "x"); err != nil || got != " \n " {
		t.Errorf("without: %q, %v", got, err)
	}
}
