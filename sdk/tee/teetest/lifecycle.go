package teetest

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/tee"
)

// testLifecycle: an enclave runs until it is closed, and closing it again does
// nothing.
func (s Suite) testLifecycle(t *testing.T) {
	e := s.launch(t, Manifest(), 1, s.StateDir(t))
	select {
	case <-e.Done():
		t.Fatal("done before its end:", e.Err())
	default:
	}
	if err := e.Err(); err != nil {
		t.Errorf("Err before the end: %v", err)
	}
	for i := range 3 {
		if err := e.Close(); err != nil {
			t.Errorf("Close number %d: %v", i+1, err)
		}
	}
	select {
	case <-e.Done():
	default:
		t.Error("not done after Close")
	}
	if err := e.Err(); err != nil {
		t.Errorf("Err after Close: %v", err)
	}
}

// testControl: what is written arrives, in order and whole, both ways.
func (s Suite) testControl(t *testing.T) {
	e := s.launch(t, Manifest(), 1, s.StateDir(t))
	if got := e.Control.Get("name"); got != s.Backend.Name() {
		t.Errorf("the platform's name is %q, the backend's %q", got, s.Backend.Name())
	}
	for _, size := range []int{1, 100, 4096, 65537, 1 << 19} {
		text := strings.Repeat("x", size)
		if got := e.Control.Get("echo", text); got != text {
			t.Errorf("echo of %d bytes: %d bytes", size, len(got))
		}
	}
}

// testIdentity: the enclave knows what was launched.
func (s Suite) testIdentity(t *testing.T) {
	m := Manifest()
	m.Attach, m.Services = []string{"gid:27", "owner"}, []string{"example.com/demo.Clock"}
	img := Image(t, m, s.Program, 2)
	e := Launch(t, s.Backend, img, s.StateDir(t))
	var got tee.Identity
	if err := json.Unmarshal([]byte(e.Control.Get("identity")), &got); err != nil {
		t.Fatal(err)
	}
	if want := (tee.Identity{Digest: img.Digest, Signer: img.Signer, Manifest: img.Manifest}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// testLaunchCancelled: a launch ends with its context.
func (s Suite) testLaunchCancelled(t *testing.T) {
	img := Image(t, Manifest(), s.Program, 1)
	dir := s.StateDir(t)
	for moment := range 20 {
		after := time.Duration(moment) * time.Millisecond
		ctx, cancel := context.WithTimeout(context.Background(), after)
		i, err := s.Backend.Launch(ctx, img, Config(dir))
		cancel()
		if err == nil {
			// It was faster. The context must not reach into the running enclave.
			if got := NewTalk(t, i.Control()).Get("echo", "a"); got != "a" {
				t.Errorf("echo: %q", got)
			}
			if err := i.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: %v", after, err)
		}
	}
}

// testNotAnEnclave: a program that can't be run is an error, not a hang.
func (s Suite) testNotAnEnclave(t *testing.T) {
	img := *Image(t, Manifest(), s.Program, 1)
	img.Program = []byte("no program at all")
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	i, err := s.Backend.Launch(ctx, &img, Config(s.StateDir(t)))
	if err == nil {
		i.Close()
		t.Fatal("launched")
	}
	if ctx.Err() != nil {
		t.Errorf("it took until the end of the context: %v", err)
	}
}

// testExit: an enclave that ends by itself is done, and says how.
func (s Suite) testExit(t *testing.T) {
	for _, tt := range []struct {
		code int
		want bool // an error
	}{{0, false}, {7, true}} {
		e := s.launch(t, Manifest(), 1, s.StateDir(t))
		if r, err := e.Control.Try("exit", tt.code); err == nil {
			t.Errorf("exit %d: answered %+v", tt.code, r)
		}
		e.WaitDone(t)
		if err := e.Err(); (err != nil) != tt.want {
			t.Errorf("exit %d: Err is %v", tt.code, err)
		}
		if err := e.Close(); err != nil {
			t.Errorf("Close after the end: %v", err)
		}
		if err := e.Err(); (err != nil) != tt.want {
			t.Errorf("exit %d: Err after Close is %v", tt.code, err)
		}
	}
}

// testPanic: an enclave that panics is done, with an error, and what it said is
// for debug images only.
func (s Suite) testPanic(t *testing.T) {
	for _, debug := range []bool{false, true} {
		m := Manifest()
		m.Debug = debug
		e := s.launch(t, m, 1, s.StateDir(t))
		if _, err := e.Control.Try("panic", "the-secret"); !ended(err) {
			t.Errorf("control stream: %v", err)
		}
		e.WaitDone(t)
		err := e.Err()
		if err == nil {
			t.Fatal("no error")
		}
		if strings.Contains(err.Error(), "the-secret") && !debug {
			t.Errorf("the error tells what the enclave panicked with: %v", err)
		}
	}
}

// testCloseEndsAll: whoever waits for the enclave gets to know of its end.
func (s Suite) testCloseEndsAll(t *testing.T) {
	e := s.launch(t, Manifest(), 1, s.StateDir(t))
	l, _ := e.Lane(t, 1<<20)
	errs := make(chan error, 2)
	wait := func(read func([]byte) (int, error)) {
		_, err := read(make([]byte, 1))
		errs <- err
	}
	go wait(e.Instance.Control().Read)
	go wait(l.Bell.Read)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		select {
		case err := <-errs:
			if !ended(err) {
				t.Errorf("a reader got %v", err)
			}
		case <-time.After(Patience):
			t.Fatal("a reader still waits")
		}
	}
	if _, err := e.OpenLane(context.Background(), 1<<20); !errors.Is(err, tee.ErrLost) && !errors.Is(err, tee.ErrClosed) {
		t.Errorf("opening a lane: %v", err)
	}
	if s.sharesMemory() {
		l.Mem[len(l.Mem)-1] = 1 // still mapped
	}
}
