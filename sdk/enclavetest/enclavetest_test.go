package enclavetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/enclave"
	"github.com/secgear/secgear/sdk/enclavetest"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

// setup serves inside as an echo.
func setup(e *enclave.Enclave) error {
	serve(e, inside, func(_ context.Context, s string) (string, error) { return "echo " + s, nil })
	return nil
}

func TestCalls(t *testing.T) {
	e := enclavetest.Start(t, setup)
	for method := range uint16(2) {
		got, err := do(t.Context(), e, inside, method, "hello")
		if err != nil || got != "echo hello" {
			t.Errorf("method %d: %q, %v", method, got, err)
		}
	}
	if e.TEE() != enclavetest.Name {
		t.Errorf("TEE is %q", e.TEE())
	}
	if got := e.Contracts(); len(got) != 1 || got[0] != inside.Name {
		t.Errorf("contracts: %q", got)
	}
	if len(e.Protections()) == 0 || e.Protections()[0].Active {
		t.Errorf("protections: %+v", e.Protections())
	}
}

func TestUnknownContract(t *testing.T) {
	e := enclavetest.Start(t, setup)
	_, err := do(t.Context(), e, outside, 0, "x")
	if !errors.Is(err, call.ErrNoContract) {
		t.Errorf("got %v", err)
	}
}

// TestOcalls makes OCALLs from setup, from a handler, and nested both ways.
func TestOcalls(t *testing.T) {
	var e *host.Enclave
	greet := func(ctx context.Context, s string) (string, error) {
		if n, ok := strings.CutPrefix(s, "nested "); ok {
			return do(ctx, e, inside, 0, n)
		}
		return "host " + s, nil
	}
	services := func(r *host.Enclave) { serve(r, outside, greet) }
	var fromSetup string
	e = enclavetest.Start(t, func(e *enclave.Enclave) (err error) {
		serve(e, inside, func(ctx context.Context, s string) (string, error) {
			if s == "leaf" {
				return "leaf reached", nil
			}
			return do(ctx, e, outside, 0, s)
		})
		fromSetup, err = do(context.Background(), e, outside, 1, "setup")
		return err
	}, enclavetest.WithServices(services))
	if fromSetup != "host setup" {
		t.Errorf("OCALL from setup: %q", fromSetup)
	}
	for in, want := range map[string]string{"plain": "host plain", "nested leaf": "leaf reached"} {
		if got, err := do(t.Context(), e, inside, 0, in); err != nil || got != want {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
}

func TestBuffers(t *testing.T) {
	e := enclavetest.Start(t, func(e *enclave.Enclave) error {
		b, err := e.NewBuffer(context.Background(), 4096)
		if err != nil {
			return err
		}
		return b.Free()
	})
	b, err := e.NewBuffer(t.Context(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if b.Len() != 1<<20 {
		t.Errorf("length %d", b.Len())
	}
	if err := b.Free(); err != nil {
		t.Error(err)
	}
}

func TestSetupFails(t *testing.T) {
	tests := []struct {
		name  string
		setup func(*enclave.Enclave) error
		debug bool
		want  string
		not   string
	}{
		{"error", func(*enclave.Enclave) error { return errors.New("no\nkey") }, false, "no key", "\n"},
		{"panic", func(*enclave.Enclave) error { panic("secret") }, false, "panicked", "secret"},
		{"panic in a debug image", func(*enclave.Enclave) error { panic("visible") }, true, "visible", "\n"},
		{"goroutine ended", func(*enclave.Enclave) error { runtime.Goexit(); return nil }, false, "ended its goroutine", ""},
		{"long error", func(*enclave.Enclave) error { return errors.New(strings.Repeat("x", 1<<20)) }, false, "xxx", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := image.DefaultManifest("test")
			m.Debug = tt.debug
			_, err := enclavetest.TryStart(t, tt.setup, enclavetest.WithManifest(m))
			if !errors.Is(err, host.ErrSetup) {
				t.Fatalf("got %v, want ErrSetup", err)
			}
			if text := err.Error(); !strings.Contains(text, tt.want) || tt.not != "" && strings.Contains(text, tt.not) || len(text) > 20000 {
				t.Errorf("error %.500q", text)
			}
		})
	}
}

// TestCallsBeforeReady: an ECALL nested in an OCALL of setup is refused.
func TestCallsBeforeReady(t *testing.T) {
	var nested error
	var loaded *host.Enclave
	services := func(r *host.Enclave) {
		loaded = r
		serve(r, outside, func(ctx context.Context, _ string) (string, error) {
			_, nested = do(ctx, loaded, inside, 0, "early")
			return "", nil
		})
	}
	enclavetest.Start(t, func(e *enclave.Enclave) error {
		if err := setup(e); err != nil {
			return err
		}
		_, err := do(context.Background(), e, outside, 0, "")
		return err
	}, enclavetest.WithServices(services))
	if !errors.Is(nested, call.ErrNoContract) {
		t.Errorf("call before setup was over: %v", nested)
	}
}

func TestCancelDuringLoad(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	mine := errors.New("changed my mind")
	left := make(chan struct{})
	opts := host.Options{StateDir: t.TempDir()}
	img := enclavetest.Launchable(image.DefaultManifest("test"), &opts, func(e *enclave.Enclave) error {
		cancel(mine)
		<-e.Context().Done()
		close(left)
		return nil
	})
	if _, err := host.LoadImage(ctx, img, opts); !errors.Is(err, mine) {
		t.Errorf("got %v", err)
	}
	<-left
}

func TestClose(t *testing.T) {
	hooks := make(chan string, 3)
	e := enclavetest.Start(t, func(e *enclave.Enclave) error {
		e.OnShutdown(func(context.Context) { hooks <- "first added" })
		e.OnShutdown(func(context.Context) { panic("in a hook") })
		e.OnShutdown(func(ctx context.Context) {
			text, err := do(ctx, e, outside, 0, "from a hook")
			hooks <- fmt.Sprint(text, err)
		})
		return setup(e)
	}, enclavetest.WithServices(func(r *host.Enclave) {
		serve(r, outside, func(_ context.Context, s string) (string, error) { return "heard " + s, nil })
	}))
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := e.Close(); err != nil {
				t.Errorf("closing: %v", err)
			}
		})
	}
	wg.Wait()
	if a, b := <-hooks, <-hooks; a != "heard from a hook<nil>" || b != "first added" {
		t.Errorf("hooks ran: %q, %q", a, b)
	}
	if _, err := do(t.Context(), e, inside, 0, "late"); !errors.Is(err, tee.ErrClosed) {
		t.Errorf("call after Close: %v", err)
	}
	if _, err := e.NewBuffer(t.Context(), 1); !errors.Is(err, tee.ErrClosed) {
		t.Errorf("buffer after Close: %v", err)
	}
	if err := e.Err(); err != nil {
		t.Errorf("Err after Close: %v", err)
	}
}

// TestCloseDuringCalls: calls in flight end well or with ErrClosed, never
// hang.
func TestCloseDuringCalls(t *testing.T) {
	entered := make(chan struct{}, 100)
	e := enclavetest.Start(t, func(e *enclave.Enclave) error {
		serve(e, inside, func(ctx context.Context, s string) (string, error) {
			if s == "block" {
				entered <- struct{}{}
				<-ctx.Done()
				return "", ctx.Err()
			}
			return s, nil
		})
		return nil
	})
	var wg sync.WaitGroup
	for i := range 8 {
		text := []string{"block", "run"}[i%2]
		wg.Go(func() {
			for {
				got, err := do(context.Background(), e, inside, uint16(i/2%2), text)
				if err == nil && got == text {
					continue
				}
				if !errors.Is(err, tee.ErrClosed) {
					t.Errorf("call during Close: %q, %v", got, err)
				}
				return
			}
		})
	}
	for range 4 {
		<-entered
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// TestCloseInHandler: a handler of the enclave's calls may close it.
func TestCloseInHandler(t *testing.T) {
	closed := make(chan error, 1)
	var e *host.Enclave
	services := func(r *host.Enclave) {
		e = r
		serve(r, outside, func(context.Context, string) (string, error) {
			closed <- e.Close()
			return "", nil
		})
	}
	enclavetest.Start(t, func(e *enclave.Enclave) error {
		serve(e, inside, func(ctx context.Context, s string) (string, error) { return do(ctx, e, outside, 0, s) })
		return nil
	}, enclavetest.WithServices(services))
	if _, err := do(t.Context(), e, inside, 0, ""); !errors.Is(err, tee.ErrClosed) {
		t.Errorf("the call: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("closing: %v", err)
	}
}

// TestCloseStuckHook: a hook that never ends costs the grace, not more.
func TestCloseStuckHook(t *testing.T) {
	begun := make(chan struct{})
	e := enclavetest.Start(t, func(e *enclave.Enclave) error {
		e.OnShutdown(func(ctx context.Context) { close(begun); <-ctx.Done() })
		return nil
	}, enclavetest.WithOptions(func(o *host.Options) { o.Grace = time.Millisecond }))
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	<-begun
}

func TestNoGoroutinesLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("run", func(t *testing.T) {
		e := enclavetest.Start(t, setup)
		if _, err := do(t.Context(), e, inside, 0, "x"); err != nil {
			t.Error(err)
		}
	})
	t.Run("failed setup", func(t *testing.T) {
		if _, err := enclavetest.TryStart(t, func(*enclave.Enclave) error { return io.EOF }); err == nil {
			t.Error("started")
		}
	})
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
		runtime.Gosched()
	}
}

func TestLogReachesHost(t *testing.T) {
	var out lockedBuffer
	e := enclavetest.Start(t, func(e *enclave.Enclave) error {
		log := e.Log().With("a", 1).WithGroup("g").With("b", 2)
		log.Debug("not wanted")
		log.Info("hello\n\x1b[31mforged", "c", "x\ny", slog.Group("h", "d", true), "", "no key", "e", errors.New("oops"))
		for range 40 {
			log = log.With("many", strings.Repeat("v", 5000))
		}
		log.Error(strings.Repeat("m", 10000))
		return nil
	}, enclavetest.WithOptions(func(o *host.Options) {
		o.Log = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo}))
	}))
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	text := out.String()
	want := `level=INFO msg="hello  [31mforged" enclave=test attrs.a=1 attrs.g.b=2 attrs.g.c="x y" attrs.g.h.d=true attrs.g.e=oops`
	if !strings.Contains(text, want) {
		t.Errorf("missing %s in\n%s", want, text)
	}
	if strings.Contains(text, "not wanted") {
		t.Error("a record below the level was sent")
	}
	if n := strings.Count(text, "vvv"); n == 0 || len(text) > 60000 {
		t.Errorf("long record: %d bytes in all", len(text))
	}
}

// TestLogFlood: neither side stalls, and what was dropped is counted.
func TestLogFlood(t *testing.T) {
	var out lockedBuffer
	e := enclavetest.Start(t, func(e *enclave.Enclave) error {
		serve(e, inside, func(context.Context, string) (string, error) {
			for i := range 20_000 {
				e.Log().Info("flood", "i", i)
			}
			return "", nil
		})
		return nil
	}, enclavetest.WithOptions(func(o *host.Options) { o.Log = slog.New(slog.NewTextHandler(&out, nil)) }))
	if _, err := do(t.Context(), e, inside, 0, ""); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	text := out.String()
	if n := strings.Count(text, "msg=flood"); n == 0 || n > 5000 {
		t.Errorf("%d records logged", n)
	}
	if !strings.Contains(text, "dropped") {
		t.Error("nothing says that records were dropped")
	}
}

// lockedBuffer is a strings.Builder for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
