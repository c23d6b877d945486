package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/imagefile"
	"github.com/secgear/secgear/sdk/tee"
)

var (
	// ErrRollback: an image of the same signer and name with a higher security
	// version was loaded with this state folder before.
	ErrRollback = errors.New("security version is lower than one seen before")
	// ErrNotAllowed: the image is not of one of Options.Signers, or not one of
	// Options.Digests.
	ErrNotAllowed = errors.New("image is not allowed")
	// ErrSetup: the enclave's setup failed. The error's text holds what setup
	// said.
	ErrSetup = errors.New("the enclave's setup failed")
)

// Load launches the enclave image in the named file and returns when the
// enclave is ready. ctx bounds loading only. The enclave runs until Close, or
// until this process ends.
//
// Beside those of [imagefile.Open], the error matches [ErrNotAllowed],
// [ErrRollback], [*UnavailableError], [ErrNoKey] or an error of [imagefile.Decrypt]
// (for an encrypted image), [ErrSetup], [tee.ErrLost] (the enclave ended before it
// was ready) or ctx's error. Nothing is left running.
func Load(ctx context.Context, path string, o Options) (*Enclave, error) {
	if path == "" {
		return nil, errors.New("loading enclave: the image's name is empty (secgear run gives it in SECGEAR_IMAGE)")
	}
	img, err := imagefile.Open(path)
	if err != nil {
		return nil, fmt.Errorf("loading enclave: %w", err)
	}
	return LoadImage(ctx, img, o)
}

// LoadImage is [Load] for an image whose signature has been checked.
func LoadImage(ctx context.Context, img *image.Image, o Options) (*Enclave, error) {
	e, err := load(ctx, img, o)
	if err != nil {
		return nil, fmt.Errorf("loading enclave %s: %w", img.Manifest.Name, err)
	}
	return e, nil
}

func load(ctx context.Context, img *image.Image, o Options) (*Enclave, error) {
	o, err := o.withDefaults(img.Manifest)
	if err := errors.Join(err, o.check(img.Manifest)); err != nil {
		return nil, fmt.Errorf("options: %w", err)
	}
	if err := o.allow(img); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the state folder: %w", err)
	}
	if err := checkStateDir(o.StateDir); err != nil {
		return nil, fmt.Errorf("using the state folder %s: %w", o.StateDir, err)
	}
	seen := versions{dir: o.StateDir}
	if err := seen.check(img); err != nil {
		return nil, err
	}
	backend, err := choose(o.Backends, o.TEE, img.Arch, o.Log)
	if err != nil {
		return nil, err
	}
	e, err := launch(ctx, backend, img, o)
	if err != nil {
		return nil, err
	}
	if err := seen.record(img); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// allow tells whether the caller wants this image at all.
func (o Options) allow(img *image.Image) error {
	if len(o.Signers) > 0 && !slices.Contains(o.Signers, img.Signer) {
		return fmt.Errorf("%w: it was signed by %v", ErrNotAllowed, img.Signer)
	}
	if len(o.Digests) > 0 && !slices.Contains(o.Digests, img.Digest) {
		return fmt.Errorf("%w: its digest is %v", ErrNotAllowed, img.Digest)
	}
	if img.Manifest.Debug {
		o.Log.Warn("debug image: its enclave may be inspected", "enclave", img.Manifest.Name)
		if img.Encrypted != nil {
			o.Log.Warn("encrypted debug image: whoever may inspect its enclave reads the program", "enclave", img.Manifest.Name)
		}
	}
	return nil
}

// launch starts the enclave and waits until it is ready.
func launch(ctx context.Context, b tee.Backend, img *image.Image, o Options) (*Enclave, error) {
	e := newEnclave(b.Name(), img, o)
	if o.Services != nil {
		o.Services(e)
	}
	cfg := tee.LaunchConfig{StateDir: o.StateDir, Log: o.Log, Cores: o.Cores}
	if img.Encrypted != nil {
		cfg.ImageKey = o.imageKey(KeyRequest{img.Encrypted.KeyID, e.id, b.Name()})
	}
	inst, err := b.Launch(ctx, img, cfg)
	if err != nil {
		return nil, fmt.Errorf("launching in TEE %s: %w", b.Name(), err)
	}
	err = e.start(ctx, inst)
	if err == nil {
		err = e.serve()
	}
	if err != nil {
		return nil, errors.Join(err, e.abandon())
	}
	go e.supervise()
	return e, nil
}
