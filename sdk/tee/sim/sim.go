// Package sim is the simulation: enclaves as ordinary processes of this
// machine, for development, tests and machines without a TEE.
//
// An enclave gets a process of its own in a sandbox (sdk/internal/sandbox), and
// [tee.Instance.Protections] names each piece of it, and why one is missing. So
// an enclave lives here under the same conditions as in a TEE (it reaches
// nothing but its platform, its control stream and its lanes), and harms nobody
// if it is taken over.
//
// The other direction is what a TEE has and a simulation can't: whoever is root
// on this machine, or the user who launched the enclave and gives some effort to
// it, reads and alters its memory, and knows its keys. Its evidence says so; see
// package evidence.
//
// The enclave's half is package guest; what both need of the pretended silicon
// is package hardware.
//
// Linux 5.10 or later. On other systems [Backend.Probe] says that it isn't
// available.
package sim

import (
	"context"
	"fmt"
	"runtime"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/sandbox"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/sim/hardware"
)

// Name is the name of the simulation, here and in the enclave.
const Name = "sim"

// Backend is the simulation's [tee.Backend]. The zero value is ready.
type Backend struct{}

var _ tee.Architectures = Backend{}

// Name implements [tee.Backend].
func (Backend) Name() string { return Name }

// Probe implements [tee.Backend]. What the answer says was tried.
func (b Backend) Probe() tee.Status { return b.ProbeArch(runtime.GOARCH) }

// ProbeArch implements [tee.Architectures]. For another architecture than this
// machine's it looks for the emulator, too, but does not run it.
func (Backend) ProbeArch(arch string) tee.Status { return sandbox.TEE{Name: Name}.ProbeArch(arch) }

// Launch implements [tee.Backend]. What is missing of the confinement is listed
// by the instance's Protections; without sealed program, no_new_privs and the
// seccomp filter there is no launch.
func (Backend) Launch(ctx context.Context, img *image.Image, cfg tee.LaunchConfig) (tee.Instance, error) {
	t := sandbox.TEE{Name: Name, Enter: func(_ context.Context, id tee.Identity) (sandbox.Hardware, []tee.Protection, error) {
		machine, err := hardware.Open(cfg.StateDir)
		if err != nil {
			return nil, nil, err
		}
		return machine.Enclave(id), nil, nil
	}}
	i, err := t.Launch(ctx, img, cfg)
	if err != nil {
		return nil, fmt.Errorf("launching %s in the simulation: %w", img.Manifest.Name, err)
	}
	return i, nil
}
