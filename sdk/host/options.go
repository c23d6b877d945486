package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/ring"
	"github.com/secgear/secgear/sdk/tee"
)

// Options say how to load an enclave. Only Backends must be set.
type Options struct {
	// Backends are the TEEs to choose from, strongest first: all.Backends() of
	// sdk/tee/all.
	Backends []tee.Backend

	// TEE is the name of the one to take, or "auto": the first of Backends that
	// this machine has and that keeps its owner out, else the simulation, else
	// the first one that it has. Default: the environment's SECGEAR_TEE, else
	// "auto".
	TEE string

	// Signers, if not empty, are the only ones whose images are loaded.
	Signers []image.SignerID

	// Digests, if not empty, are the only images that are loaded.
	Digests []image.Digest

	// StateDir holds what outlives an enclave: the security versions seen and
	// what the TEE's platform keeps. It is made, mode 0700, if it is not there; one
	// that is another user's, or that every user can write to, is refused.
	// Default: see [DefaultStateDir].
	StateDir string

	// ImageKey hands over the key of an encrypted image. It is called for those
	// only, once, after the image's signature, Signers, Digests and security
	// version were checked; Load's ctx bounds it, whether it heeds that or not. The
	// key it returns is Load's to wipe: return a Clone of one that you keep.
	// Default: the key in the file that the environment's SECGEAR_IMAGE_KEY
	// names, see [KeyFile]; without that, encrypted images are not loaded.
	ImageKey func(ctx context.Context, want KeyRequest) (image.Key, error)

	// Services, if not nil, is given the enclave before it runs, to register what
	// this side serves (OCALLs) and to Listen, so that the enclave's setup can call
	// and dial. Nothing else can be done with it yet; calls fail.
	Services func(*Enclave)

	// Log receives messages of the runtime and the enclave's own, cleaned of
	// control characters, bounded in size and rate; nil: nobody does. The
	// enclave's carry the attribute "enclave", its name, and theirs under
	// "attrs".
	Log *slog.Logger

	// LaneMemory is the size in bytes of the memory shared with the enclave, at
	// most the manifest's. Default: 64 MiB, or the manifest's if that is less.
	LaneMemory int

	// Socket is the path of the Unix socket at which the enclave can be found while
	// it runs, by tools that watch it and by processes that attach to it. "none":
	// there is none. Default: one named after the enclave in the folder for them,
	// see docs/attach.md, which only processes of the same user, and root's, can
	// reach; enclaves in the process of their test have none.
	Socket string

	// Workers is how many handlers run at a time, on either side; nested calls
	// aside. Default: the manifest's number, which is also the most.
	Workers int

	// Spin is how long a side that waits keeps a processor busy before it
	// sleeps: at most a millisecond; negative: not at all. Default (zero): a
	// tenth of a millisecond, less while that does not pay.
	Spin time.Duration

	// TimeEvery is of how many calls of a method [Enclave.Stats] times one: 1 times
	// all, which makes each slower by two looks at the clock. It is rounded up to a
	// power of two. Default: 256.
	TimeEvery uint64

	// Cores are the processors that the enclave may run on; empty: any.
	Cores []int

	// Grace is how long Close waits for the enclave to stop by itself before it
	// is ended by force. Default: 5 seconds.
	Grace time.Duration
}

const (
	defaultLaneMemory = 64 << 20
	defaultGrace      = 5 * time.Second
	maxSpin           = time.Millisecond
	pageSize          = 4096
)

// withDefaults returns o with its zero fields set.
func (o Options) withDefaults(m image.Manifest) (Options, error) {
	if o.TEE == "" {
		o.TEE = os.Getenv("SECGEAR_TEE")
	}
	if o.TEE == "" {
		o.TEE = auto
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.LaneMemory == 0 {
		o.LaneMemory = int(min(defaultLaneMemory, m.LaneMemory))
	}
	o.LaneMemory = (o.LaneMemory + pageSize - 1) &^ (pageSize - 1)
	if o.Workers == 0 {
		o.Workers = m.Workers
	}
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	if name := os.Getenv("SECGEAR_IMAGE_KEY"); o.ImageKey == nil && name != "" {
		o.ImageKey = KeyFile(name)
	}
	var err error
	if o.StateDir == "" {
		o.StateDir, err = DefaultStateDir()
	}
	return o, err
}

// faults collects what is wrong with options.
type faults struct{ list []error }

// check adds a fault of a field if bad.
func (f *faults) check(bad bool, field, format string, args ...any) {
	if bad {
		f.list = append(f.list, fmt.Errorf("%s: %w", field, fmt.Errorf(format, args...)))
	}
}

// check returns every fault of o for an image with manifest m, joined.
func (o Options) check(m image.Manifest) error {
	var f faults
	o.checkBackends(&f)
	small := o.LaneMemory < ring.MinSize
	f.check(small, "LaneMemory", "%d is less than %d bytes", o.LaneMemory, ring.MinSize)
	f.check(!small && uint64(o.LaneMemory) > m.LaneMemory, "LaneMemory", "%d is more than the manifest's lane_memory, %d", o.LaneMemory, m.LaneMemory)
	f.check(o.Workers < 0, "Workers", "%d is negative", o.Workers)
	f.check(o.Workers > m.Workers, "Workers", "%d is more than the manifest's workers, %d", o.Workers, m.Workers)
	f.check(o.Spin > maxSpin, "Spin", "%v is more than %v", o.Spin, maxSpin)
	f.check(o.Grace < 0, "Grace", "%v is negative", o.Grace)
	for i, s := range o.Signers {
		f.check(s.IsZero(), "Signers", "number %d is no signer's ID", i+1)
	}
	for i, d := range o.Digests {
		f.check(d.IsZero(), "Digests", "number %d is no image's digest", i+1)
	}
	seen := make(map[int]bool)
	for _, c := range o.Cores {
		f.check(c < 0, "Cores", "%d is negative", c)
		f.check(seen[c], "Cores", "%d is given twice", c)
		seen[c] = true
	}
	return errors.Join(f.list...)
}

func (o Options) checkBackends(f *faults) {
	if len(o.Backends) == 0 {
		f.check(true, "Backends", "there are none; all.Backends() of sdk/tee/all lists those of secgear")
		return
	}
	known := o.TEE == auto
	seen := make(map[string]bool)
	for i, b := range o.Backends {
		if b == nil {
			f.check(true, "Backends", "number %d is nil", i+1)
			continue
		}
		f.check(seen[b.Name()], "Backends", "%q is given twice", b.Name())
		seen[b.Name()] = true
		known = known || b.Name() == o.TEE
	}
	f.check(!known, "TEE", "there is no %q here: --tee, SECGEAR_TEE and Options.TEE take one of %s", o.TEE, names(o.Backends))
}

// names lists what Options.TEE can be, for people.
func names(backends []tee.Backend) string {
	out := []string{auto}
	for _, b := range backends {
		if b != nil {
			out = append(out, b.Name())
		}
	}
	return strings.Join(out, ", ")
}

// DefaultStateDir returns the folder for what outlives enclaves: the
// environment's SECGEAR_STATE, else secgear in XDG_STATE_HOME, else
// ~/.local/state/secgear. It need not exist.
func DefaultStateDir() (string, error) {
	dir := os.Getenv("SECGEAR_STATE")
	if dir == "" {
		if dir = os.Getenv("XDG_STATE_HOME"); dir != "" {
			dir = filepath.Join(dir, "secgear")
		}
	}
	if dir != "" {
		return filepath.Abs(dir)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding the state folder (SECGEAR_STATE sets it): %w", err)
	}
	return filepath.Join(home, ".local", "state", "secgear"), nil
}
