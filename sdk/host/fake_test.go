package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/control"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
)

// fakeTEE is a backend whose enclaves are functions of the test.
type fakeTEE struct {
	name         string
	unavailable  bool
	confidential bool
	missing      []tee.Missing
	launchErr    error
	laneErr      error
	live         func(*fakeEnclave) // the enclave's life; nil: wellBehaved
	launched     int
	hasKey       bool          // the last launch was told where to get a key
	over         chan struct{} // closed with the test
}

func (f *fakeTEE) Name() string { return f.name }

func (f *fakeTEE) Probe() tee.Status {
	return tee.Status{Available: !f.unavailable, Missing: f.missing, Confidential: f.confidential}
}

func (f *fakeTEE) Launch(ctx context.Context, img *image.Image, cfg tee.LaunchConfig) (tee.Instance, error) {
	if f.launchErr != nil {
		return nil, f.launchErr
	}
	if f.hasKey = cfg.ImageKey != nil; f.hasKey {
		key, err := cfg.ImageKey(ctx)
		if err != nil {
			return nil, err
		}
		key.Wipe()
	}
	f.launched++
	host, guest := net.Pipe()
	e := &fakeEnclave{
		tee: f, host: host, control: guest, manifest: img.Manifest,
		lanes: make(chan *tee.Lane, 1), done: make(chan struct{}), killed: make(chan struct{}),
	}
	go e.run()
	return e, nil
}

// fakeEnclave is both the instance and, for the function that plays it, the
// enclave.
type fakeEnclave struct {
	tee           *fakeTEE
	manifest      image.Manifest
	host, control net.Conn
	lanes         chan *tee.Lane
	lane          *shm.Lane // of the enclave, once open
	killOnce      sync.Once
	killed, done  chan struct{}
	err           error // set by the function
}

func (e *fakeEnclave) run() {
	live := e.tee.live
	if live == nil {
		live = wellBehaved
	}
	live(e)
	close(e.done)
	e.control.Close()
	if e.lane != nil {
		e.lane.Close()
	}
}

func (e *fakeEnclave) Cooperative() bool             { return true }
func (e *fakeEnclave) Control() net.Conn             { return e.host }
func (e *fakeEnclave) Protections() []tee.Protection { return []tee.Protection{{Name: "none"}} }
func (e *fakeEnclave) Done() <-chan struct{}         { return e.done }

func (e *fakeEnclave) OpenLane(_ context.Context, size int) (*tee.Lane, error) {
	if e.tee.laneErr != nil {
		return nil, e.tee.laneErr
	}
	host, guest := shm.Pipe(size)
	e.lanes <- guest
	return host, nil
}

func (e *fakeEnclave) Err() error {
	select {
	case <-e.done:
		return e.err
	default:
		return nil
	}
}

func (e *fakeEnclave) Close() error {
	e.killOnce.Do(func() { close(e.killed); e.control.Close() })
	<-e.done
	return nil
}

// hear returns the next message from the host, or nil.
func (e *fakeEnclave) hear() control.Message {
	m, err := control.Read(e.control)
	if err != nil {
		return nil
	}
	return m
}

func (e *fakeEnclave) say(m control.Message) { control.Write(e.control, m) }

// open opens the lane with a handler that never answers.
func (e *fakeEnclave) open() {
	select {
	case t := <-e.lanes:
		lane, err := shm.Open(t, shm.Enclave, stuck{e.tee.over}, shm.Config{Cooperative: true})
		if err != nil {
			panic(err)
		}
		e.lane = lane
	case <-e.killed:
	}
}

// stuck leaves calls unanswered until the test is over, as a process does that
// was killed.
type stuck struct{ over chan struct{} }

func (s stuck) ServeCall(_ context.Context, q *shm.Request) {
	<-s.over
	q.Fail(1, "ended")
}

// wellBehaved becomes ready and stops when asked to.
func wellBehaved(e *fakeEnclave) {
	e.hear()
	e.open()
	e.say(&control.Ready{Version: control.Version})
	if _, ok := e.hear().(*control.Shutdown); ok {
		e.say(&control.Stopped{})
		e.hear()
	}
}

// testImage returns an image that a fake TEE can launch.
func testImage(version uint32) *image.Image {
	m := image.DefaultManifest("demo")
	m.SecurityVersion = version
	m.Workers = 8
	return &image.Image{
		Manifest: m,
		Digest:   sha256.Sum256([]byte{byte(version)}),
		Signer:   sha256.Sum256([]byte("signer")),
	}
}

// testOptions returns options for one fake TEE.
func testOptions(t *testing.T, f *fakeTEE) Options {
	if f.name == "" {
		f.name = "fake"
	}
	f.over = make(chan struct{})
	t.Cleanup(func() { close(f.over) })
	return Options{Backends: []tee.Backend{f}, StateDir: t.TempDir(), LaneMemory: 1 << 20}
}

// mustLoad loads a fake enclave and closes it with the test.
func mustLoad(t *testing.T, o Options) *Enclave {
	t.Helper()
	e, err := LoadImage(t.Context(), testImage(1), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

var errFake = errors.New("a fault of the fake")
