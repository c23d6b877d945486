package enclavetest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/build"
	"github.com/secgear/secgear/sdk/image/imagefile"
	"github.com/secgear/secgear/sdk/tee/all"
)

// signingKey signs the images of this test process.
var signingKey = sync.OnceValues(func() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
})

// imageKey encrypts the images of this test process.
var imageKey = sync.OnceValues(func() (image.Key, error) {
	secret := make([]byte, image.KeySize)
	rand.Read(secret)
	return image.NewKey(secret)
})

// encrypt encrypts an image and has the host hand over the key, unless a test
// does so itself.
func (c *config) encrypt(raw []byte) ([]byte, error) {
	key, err := imageKey()
	if err != nil {
		return nil, err
	}
	if c.host.ImageKey == nil {
		c.host.ImageKey = func(context.Context, host.KeyRequest) (image.Key, error) { return key.Clone(), nil }
	}
	return imagefile.Encrypt(raw, key)
}

// programs are the programs built so far, by directory.
var programs struct {
	sync.Mutex
	built map[string][]byte
}

// compile builds the program of the package in dir, once.
func compile(t testing.TB, dir string) ([]byte, error) {
	programs.Lock()
	defer programs.Unlock()
	if p, ok := programs.built[dir]; ok {
		return p, nil
	}
	p, err := build.Program(t.Context(), build.Options{Dir: dir, Output: t.Output()})
	if err != nil {
		return nil, err
	}
	if programs.built == nil {
		programs.built = make(map[string][]byte)
	}
	programs.built[dir] = p
	return p, nil
}

// buildImage returns the signed image of the enclave's package.
func (c *config) buildImage(t testing.TB, m image.Manifest) *image.Image {
	t.Helper()
	img, err := func() (*image.Image, error) {
		program, err := compile(t, c.dir)
		if err != nil {
			return nil, err
		}
		key, err := signingKey()
		if err != nil {
			return nil, err
		}
		raw, err := imagefile.Build(m, program)
		if err == nil && c.encrypted {
			raw, err = c.encrypt(raw)
		}
		if err != nil {
			return nil, err
		}
		signed, err := imagefile.Sign(raw, key)
		if err != nil {
			return nil, err
		}
		return imagefile.Verify(signed)
	}()
	if err != nil {
		t.Fatalf("building the enclave (a sandboxed one is built from the test's own directory unless enclavetest.WithPackage names another): %v", err)
	}
	return img
}

// skipUnavailable skips a sandboxed test that this machine can't run.
func (c *config) skipUnavailable(t testing.TB, err error) {
	t.Helper()
	var missing *host.UnavailableError
	if c.sandboxed && errors.As(err, &missing) {
		t.Skipf("the enclave can't be sandboxed: %v", missing)
	}
}

// useSandbox selects the simulation.
func (c *config) useSandbox(t testing.TB) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skipf("the enclave can't be sandboxed: that takes Linux, this is %s", runtime.GOOS)
	}
	c.host.Backends, c.host.TEE = all.Backends(), "sim"
}
