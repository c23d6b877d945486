// Package tpm is the backend for an ordinary machine with a TPM 2.0: an enclave
// is a sandboxed process, measured into the TPM before it starts. Evidence is the
// TPM's quote, sealing keys and counters are the TPM's.
//
// Nothing protects the enclave's memory from this machine: whoever is root on it,
// or the user who launched the enclave and gives some effort to it, reads and
// alters it. What the TPM adds to the simulation is that sealed data and counters
// are bound to the machine and to the system it has started, and that a verifier
// learns what was started on it. So the backend goes by a name of its own, comes
// after every TEE, and a verifier must be asked for it by name.
//
// docs/tpm.md tells how to set a machine up. Linux only.
package tpm

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/machine"
	"github.com/secgear/secgear/sdk/internal/sandbox"
	"github.com/secgear/secgear/sdk/internal/tpm"
	"github.com/secgear/secgear/sdk/tee"
)

// Name is the name of the backend, here and in the enclave.
const Name = "tpm"

// Backend is the [tee.Backend]. The zero value is ready.
type Backend struct {
	// emulated, of tests only, is the socket of an emulated TPM for each state
	// folder, and marks all evidence.
	emulated func(stateDir string) (socket, logDir string)
}

// Name implements [tee.Backend].
func (Backend) Name() string { return Name }

// machine is the one to launch on.
func (b Backend) machine(stateDir string) *machine.Machine {
	m := &machine.Machine{TEE: Name, TPM: tpm.At(tpm.Device), LogDir: machine.LogDir, StateDir: stateDir}
	if b.emulated != nil {
		socket, logDir := b.emulated(stateDir)
		m.TPM, m.LogDir, m.Emulated = tpm.At(socket), logDir, true
	}
	return m
}

// noMemory says what this backend lacks of a TEE's.
const noMemory = "the machine's owner, and who is root on it, reads and alters the enclave's memory"

// Probe implements [tee.Backend]. A machine has this TEE if it was set up for it:
// if the TPM can be used, and the folder for the log is there.
func (b Backend) Probe() tee.Status {
	m := b.machine("")
	var missing []tee.Missing
	if err := m.TPM.Probe(); err != nil {
		missing = append(missing, machine.MissingTPM(m.TPM, err))
	}
	if info, err := os.Stat(m.LogDir); err != nil || !info.IsDir() {
		missing = append(missing, machine.MissingLogDir(m.LogDir, err))
	}
	if missing != nil {
		return tee.Status{Missing: missing}
	}
	status := sandbox.TEE{Name: Name}.ProbeArch(runtime.GOARCH)
	status.Missing = append([]tee.Missing{{What: machine.ProtectedMemory, Why: noMemory, Fix: "a machine or VM with a TEE"}}, status.Missing...)
	return status
}

// Launch implements [tee.Backend].
func (b Backend) Launch(ctx context.Context, img *image.Image, cfg tee.LaunchConfig) (tee.Instance, error) {
	i, err := b.machine(cfg.StateDir).Launch(ctx, img, cfg, []tee.Protection{{Name: machine.ProtectedMemory, Reason: noMemory}})
	if err != nil {
		return nil, fmt.Errorf("launching %s on a machine with a TPM: %w", img.Manifest.Name, err)
	}
	return i, nil
}
