package teetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
)

// calleePackage is the enclave that the tests with calls load.
const calleePackage = "github.com/secgear/secgear/sdk/tee/teetest/testdata/callee"

// Contracts of both directions; testdata/callee has them, too.
var (
	methods = []call.Method{{Name: "Do"}, {Name: "DoSwitched", Switched: true}}
	inside  = &call.Contract{Name: "teetest.Inside", ID: 1, Methods: methods}
	outside = &call.Contract{Name: "teetest.Outside", ID: 2, Methods: methods}
)

// callee is the enclave of testdata/callee, loaded.
type callee struct {
	t testing.TB
	*host.Enclave
	instance tee.Instance
	blocking chan struct{} // a call of "block" has begun
}

// calleeManifest is that of the callee, for tests to vary.
func calleeManifest() image.Manifest {
	m := Manifest()
	m.Name, m.Services = "callee", []string{image.AnyService}
	return m
}

// load loads the callee; it is closed at the end of the test. options may change
// how.
func (s Suite) load(t testing.TB, m image.Manifest, dir string, options ...func(*host.Options)) *callee {
	t.Helper()
	if s.Callee == nil {
		t.Skip("the program for calls was not given")
	}
	return s.loadImage(t, Image(t, m, s.Callee, 1), dir, options...)
}

// shared is the callee that tests share.
type shared struct {
	t      *testing.T // of the whole suite
	callee *callee
}

// any returns a callee like all others, which the test must leave as it was.
func (s Suite) any(t *testing.T) *callee {
	t.Helper()
	if !s.Share || s.Callee == nil {
		return s.load(t, calleeManifest(), s.StateDir(t))
	}
	if s.shared.callee == nil {
		s.shared.callee = s.load(s.shared.t, calleeManifest(), s.StateDir(s.shared.t))
	}
	c := *s.shared.callee
	c.t = t
	return &c
}

func (s Suite) loadImage(t testing.TB, img *image.Image, dir string, options ...func(*host.Options)) *callee {
	t.Helper()
	c := &callee{t: t, blocking: make(chan struct{}, 1)}
	o := host.Options{
		Backends: []tee.Backend{recorder{s.Backend, &c.instance}}, TEE: s.Backend.Name(), StateDir: dir,
		Services: func(r call.Registrar) { r.Register(call.Service{Contract: outside, Dispatch: c.dispatch}) },
	}
	for _, change := range options {
		change(&o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	e, err := host.LoadImage(ctx, img, o)
	if err != nil {
		t.Fatal(err)
	}
	c.Enclave = e
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return c
}

// recorder is a backend that keeps the instance of its last launch.
type recorder struct {
	tee.Backend
	last *tee.Instance
}

func (r recorder) ProbeArch(arch string) tee.Status { return tee.ProbeFor(r.Backend, arch) }

func (r recorder) Launch(ctx context.Context, img *image.Image, cfg tee.LaunchConfig) (tee.Instance, error) {
	i, err := r.Backend.Launch(ctx, img, cfg)
	*r.last = i
	return i, err
}

// dispatch serves the enclave's calls.
func (c *callee) dispatch(ctx context.Context, method uint16, q call.Request) error {
	var dec call.Decoder
	q.Args(&dec)
	text, _ := string(dec.Bytes()), dec.Buffer()
	if err := dec.End(); err != nil {
		return err
	}
	what, rest, _ := strings.Cut(text, " ")
	var out []byte
	var err error
	switch what {
	case "echo":
		out = []byte("host " + rest)
	case "nest":
		out, err = c.do(ctx, method, rest, shm.Buffer{})
	case "blocking":
		c.blocking <- struct{}{}
	default:
		err = errors.New("unknown request")
	}
	if err != nil {
		return err
	}
	var enc call.Encoder
	q.Results(call.SizeBytes(out), &enc)
	enc.Bytes(out)
	return q.Send(&enc)
}

// do calls a method of the enclave.
func (c *callee) do(ctx context.Context, method uint16, text string, b shm.Buffer) ([]byte, error) {
	var p call.Pending
	var enc call.Encoder
	p.Begin(ctx, c.Enclave, inside, method, call.SizeString(text)+call.SizeBuffer, &enc)
	enc.String(text)
	enc.Buffer(b)
	p.Start(&enc)
	var dec call.Decoder
	if err := p.Wait(&dec); err != nil {
		return nil, err
	}
	out := slices.Clone(dec.Bytes())
	return out, p.End(&dec)
}

// get is do for a call that must succeed.
func (c *callee) get(text string) string {
	c.t.Helper()
	out, err := c.try(text)
	if err != nil {
		c.t.Fatalf("%.40q: %v", text, err)
	}
	return string(out)
}

// power is get for something that a TEE may lack: then the test is skipped.
func (c *callee) power(text string) string {
	c.t.Helper()
	out, err := c.try(text)
	if errors.Is(err, errors.ErrUnsupported) || err != nil && strings.Contains(err.Error(), errors.ErrUnsupported.Error()) {
		c.t.Skipf("the platform lacks it: %v", err)
	}
	if err != nil {
		c.t.Fatalf("%.40q: %v", text, err)
	}
	return string(out)
}

func (c *callee) try(text string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	return c.do(ctx, 0, text, shm.Buffer{})
}

// eachMethod runs test over shared memory and switched.
func eachMethod(t *testing.T, test func(t *testing.T, method uint16)) {
	for i, m := range methods {
		t.Run(m.Name, func(t *testing.T) { test(t, uint16(i)) })
	}
}

// testCalls: calls go in and out, over shared memory and switched.
func (s Suite) testCalls(t *testing.T) {
	c := s.any(t)
	if got := c.get("tee"); got != s.Backend.Name() || c.TEE() != got {
		t.Errorf("the TEE is %q inside and %q outside", got, c.TEE())
	}
	eachMethod(t, func(t *testing.T, method uint16) {
		for text, want := range map[string]string{"echo in": "in", "ask echo out": "host out"} {
			if got, err := c.do(t.Context(), method, text, shm.Buffer{}); err != nil || string(got) != want {
				t.Errorf("%s: %q, %v", text, got, err)
			}
		}
		if _, err := c.do(t.Context(), method, "nonsense", shm.Buffer{}); err == nil || !strings.Contains(err.Error(), "unknown request") {
			t.Errorf("error: %v", err)
		}
	})
}

// testNested: calls within calls, to and fro.
func (s Suite) testNested(t *testing.T) {
	c := s.any(t)
	eachMethod(t, func(t *testing.T, method uint16) {
		text := strings.Repeat("nest nest ", 3) + "echo bottom" // inside, outside, inside …
		if got, err := c.do(t.Context(), method, text, shm.Buffer{}); err != nil || string(got) != "bottom" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// testPayloads: arguments and results of any size arrive whole, in both
// directions.
func (s Suite) testPayloads(t *testing.T) {
	c := s.any(t)
	for _, size := range []int{0, 1, 100, 4096, 65537, 4 << 20} {
		text := make([]byte, size)
		for i := range text {
			text[i] = byte(i * 7)
		}
		if got := c.get("echo " + string(text)); got != string(text) {
			t.Errorf("echo of %d bytes: %d bytes", size, len(got))
		}
		if got := c.get("ask echo " + string(text)); got != "host "+string(text) {
			t.Errorf("asking with %d bytes: %d bytes", size, len(got))
		}
	}
}

// testConcurrent: many callers at the same time get their own answers.
func (s Suite) testConcurrent(t *testing.T) {
	c := s.any(t)
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			for j := range 20 {
				want := fmt.Sprint(i, j)
				got, err := c.do(t.Context(), uint16(j/10), "echo "+want, shm.Buffer{})
				if err != nil || string(got) != want {
					t.Errorf("%q, %v, want %q", got, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

// testCancel: a call ends with its context, here and in the enclave, whether it
// is cancelled or its time is up.
func (s Suite) testCancel(t *testing.T) {
	c := s.any(t)
	eachMethod(t, func(t *testing.T, method uint16) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-c.blocking; cancel() }()
		if _, err := c.do(ctx, method, "block", shm.Buffer{}); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		c.get("stopped")
	})
}

func (s Suite) testDeadline(t *testing.T) {
	c := s.any(t)
	eachMethod(t, func(t *testing.T, method uint16) {
		// Long enough for the call to begin, also where that is slow.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.do(ctx, method, "block", shm.Buffer{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("its time was up: %v", err)
		}
		<-c.blocking
		c.get("stopped")
	})
}

// testBuffers: what one side writes to a shared buffer the other reads.
func (s Suite) testBuffers(t *testing.T) {
	c := s.any(t)
	for _, size := range []int{1, 4097, 1 << 20} {
		b, err := c.NewBuffer(t.Context(), size)
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(i * 11)
		}
		if _, err := b.WriteAt(want, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := c.do(t.Context(), 0, "reverse", b); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, size)
		if _, err := b.ReadAt(got, 0); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		slices.Reverse(want)
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes were not reversed", size)
		}
		if err := b.Free(); err != nil {
			t.Error(err)
		}
	}
}
