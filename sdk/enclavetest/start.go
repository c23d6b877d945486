package enclavetest

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/secgear/secgear/sdk/enclave"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/build"
	"github.com/secgear/secgear/sdk/tee"
)

// Option changes how Start runs the enclave.
type Option func(*config)

type config struct {
	sandboxed bool
	encrypted bool
	dir       string // of the enclave's package
	manifest  *image.Manifest
	host      host.Options
}

// Sandboxed builds the enclave's package, the one in the test's directory or
// that of [WithPackage], into an image and loads it in the simulation. Its main
// is what runs, not the setup given to Start. Where the kernel can't, the test
// is skipped and says why.
func Sandboxed() Option { return func(c *config) { c.sandboxed = true } }

// Encrypted encrypts the image of a sandboxed enclave with a key of this test
// process, which the host hands over. Elsewhere it changes nothing: an enclave in
// the test's process has no image.
func Encrypted() Option { return func(c *config) { c.encrypted = true } }

// WithPackage names the directory of the enclave's package main, for tests that
// are elsewhere: there Sandboxed builds, and the manifest is read.
func WithPackage(dir string) Option { return func(c *config) { c.dir = dir } }

// WithManifest sets the manifest; zero fields take their defaults. By default
// it is read from secgear.json beside the enclave's source and, where there is
// none, it is image.DefaultManifest("test") with every service allowed
// ([image.AnyService]). One given here allows what it lists, and nothing else.
func WithManifest(m image.Manifest) Option { return func(c *config) { c.manifest = &m } }

// WithServices registers what the host serves, and has it listen, before the
// enclave's setup runs: see host.Options. The enclave may call and dial what its
// manifest lists of it.
func WithServices(register func(*host.Enclave)) Option {
	return func(c *config) { c.host.Services = register }
}

// WithStateDir keeps the machine's state (its secret, counters, security
// versions seen) in dir instead of a new folder, so that a second Start
// continues where the first one ended.
func WithStateDir(dir string) Option { return func(c *config) { c.host.StateDir = dir } }

// WithOptions lets change set other options of the host.
func WithOptions(change func(*host.Options)) Option {
	return func(c *config) { change(&c.host) }
}

// Start runs the enclave and returns it ready to be called. Failing that, it
// fails the test. The enclave is closed when the test and its subtests are
// over; the test may do so before. Its log goes to the test's output.
//
// In the test's process, the same setup function with the same manifest is the
// same image to [tee.PolicyImage]. All sandboxed enclaves of one test process
// have the same signer, and so have all that aren't sandboxed.
func Start(t testing.TB, setup func(*enclave.Enclave) error, opts ...Option) *host.Enclave {
	t.Helper()
	e, err := TryStart(t, setup, opts...)
	if err != nil {
		t.Fatalf("starting the enclave: %v", err)
	}
	return e
}

// TryStart is Start for enclaves that may not come up: it returns the error of
// [host.LoadImage].
func TryStart(t testing.TB, setup func(*enclave.Enclave) error, opts ...Option) (*host.Enclave, error) {
	t.Helper()
	c := config{sandboxed: os.Getenv("SECGEAR_TEST_SANDBOXED") == "1"}
	c.host.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	for _, o := range opts {
		o(&c)
	}
	if c.host.StateDir == "" {
		c.host.StateDir = filepath.Join(t.TempDir(), "state")
	}
	img := c.prepare(t, setup)
	e, err := host.LoadImage(t.Context(), img, c.host)
	c.skipUnavailable(t, err)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("closing the enclave: %v", err)
		}
	})
	return e, nil
}

// prepare sets the backend and returns the image for it.
func (c *config) prepare(t testing.TB, setup func(*enclave.Enclave) error) *image.Image {
	t.Helper()
	m, err := c.readManifest()
	if err != nil {
		t.Fatalf("starting the enclave: %v", err)
	}
	if c.sandboxed {
		c.useSandbox(t)
		return c.buildImage(t, m)
	}
	c.host.Backends, c.host.TEE = []tee.Backend{&backend{setup}}, Name
	return pretend(m, setup)
}

func (c *config) readManifest() (image.Manifest, error) {
	if c.manifest == nil {
		name := filepath.Join(c.dir, build.ManifestFile)
		if _, err := os.Stat(name); err != nil {
			m := image.DefaultManifest("test")
			m.Services = []string{image.AnyService}
			return m, nil
		}
		m, err := build.ReadManifest(name)
		return m.WithDefaults(), err
	}
	m := c.manifest.WithDefaults()
	return m, m.Validate()
}

// withoutTime leaves out what the test's output has no use for.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
