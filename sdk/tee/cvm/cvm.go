// Package cvm is the backend for a machine that is itself a confidential VM, as
// rented from a cloud: Intel TDX or AMD SEV-SNP surrounds the whole machine, and
// an enclave is a sandboxed process of it, measured before it starts.
//
//   - Measured into: RTMR 3 of TDX, PCR 13 of the TPM, or both if there are both.
//   - Evidence: the report of the kernel's configfs-tsm, the TPM's quote, or both,
//     bound to the measurement and to the enclave's data; see package measured.
//   - Sealing keys and counters: the TPM's. Without one they are unsupported.
//
// The owner of the cloud has no access to the memory. Inside the VM the kernel,
// root, and the launching process are trusted, as is what they were started from:
// a verifier has to know it (the VM's own measurement and the other registers)
// to believe anything that is said about an enclave. The sandbox keeps enclaves
// from the rest of the VM, not the reverse.
//
// docs/cvm.md tells how to set a VM up, and how the clouds differ. Nobody has run
// this on real hardware yet. Linux only.
package cvm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/report"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/machine"
	"github.com/secgear/secgear/sdk/internal/sandbox"
	"github.com/secgear/secgear/sdk/internal/tpm"
	"github.com/secgear/secgear/sdk/tee"
)

// Name is the name of the backend, here and in the enclave.
const Name = "cvm"

// Backend is the [tee.Backend]. The zero value is ready.
type Backend struct {
	// emulated, of tests only, is what stands in for the machine's parts, and marks
	// all evidence.
	emulated *parts
}

// parts are where a confidential VM's parts are.
type parts struct {
	tpm    func(stateDir string) string     // device or socket
	tsm    func() (configfsi.Client, error) // makes reports
	rtmr   func() (machine.Register, error)
	logDir func(stateDir string) string
	mkdir  bool // the folder for the log may be made
}

// real are those of a real machine.
var real = &parts{
	tpm:    func(string) string { return tpm.Device },
	tsm:    openTSM,
	rtmr:   openRTMR,
	logDir: func(string) string { return machine.LogDir },
	mkdir:  true,
}

func (b Backend) parts() *parts {
	if b.emulated != nil {
		return b.emulated
	}
	return real
}

// Name implements [tee.Backend].
func (Backend) Name() string { return Name }

// errNotConfidential: nothing tells that the machine is a confidential VM.
var errNotConfidential = errors.New("this machine is no confidential VM, or its kernel does not say so")

// find looks for the machine's parts, and says what is missing. The error is not
// nil if that is too much.
func (b Backend) find(stateDir string) (m *machine.Machine, missing []tee.Missing, err error) {
	p := b.parts()
	m = &machine.Machine{TEE: Name, Emulated: b.emulated != nil, LogDir: p.logDir(stateDir), StateDir: stateDir}
	t := tpm.At(p.tpm(stateDir))
	noTPM := t.Probe()
	if noTPM == nil {
		m.TPM = t
		m.Paravisor, noTPM = t.HasPlatform()
	}
	if noTPM != nil {
		m.TPM = nil
		missing = append(missing, machine.MissingTPM(t, noTPM))
	}
	if m.TSM, err = p.tsm(); err == nil {
		err = probeTSM(m.TSM)
	}
	if err != nil {
		m.TSM = nil
		if !m.Paravisor {
			missing = append(missing, missingTSM(err))
		}
	}
	var noRTMR error
	if m.RTMR, noRTMR = p.rtmr(); noRTMR != nil && m.TPM == nil {
		missing = append(missing, tee.Missing{
			What: rtmrFile, Why: noRTMR.Error(), Fix: "a VM with TDX and Linux 6.16 or later, as root; or a TPM",
		})
	}
	switch {
	case m.TSM == nil && !m.Paravisor:
		return m, missing, errNotConfidential
	case m.TPM == nil && m.RTMR == nil:
		return m, missing, errors.New("there is no register to measure into: neither a TPM nor TDX's")
	}
	return m, missing, nil
}

// rtmrFile is where Linux has the register of TDX.
const rtmrFile = "/sys/devices/virtual/misc/tdx_guest/measurements/rtmr3:sha384"

// openRTMR finds it.
func openRTMR() (machine.Register, error) {
	f, err := os.OpenFile(rtmrFile, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return machine.RegisterFile(rtmrFile), f.Close()
}

// probeTSM tells why no reports can be had: there is a client where the kernel
// knows the interface, and someone to answer only in a confidential VM. It makes
// a place for a report and removes it.
func probeTSM(c configfsi.Client) error {
	r, err := report.CreateOpenReport(c)
	if err != nil {
		return err
	}
	return r.Destroy()
}

// missingTSM says why there are no reports, and what to do.
func missingTSM(err error) tee.Missing {
	m := tee.Missing{What: "/sys/kernel/config/tsm/report", Why: err.Error(), Fix: "a confidential VM (TDX or SEV-SNP) with Linux 6.7 or later"}
	for device, module := range map[string]string{"/dev/tdx_guest": "tdx_guest", "/dev/sev-guest": "sev-guest"} {
		if _, err := os.Stat(device); err == nil {
			m.Fix = device + " is there: Linux 6.7 or later, as root: modprobe " + module + "; mount -t configfs none /sys/kernel/config"
		}
	}
	return m
}

// Probe implements [tee.Backend].
func (b Backend) Probe() tee.Status {
	m, missing, err := b.find("")
	if err != nil {
		return tee.Status{Missing: missing}
	}
	if err := b.prepareLog(m.LogDir, false); err != nil {
		return tee.Status{Missing: append(missing, machine.MissingLogDir(m.LogDir, err))}
	}
	status := sandbox.TEE{Name: Name}.ProbeArch(runtime.GOARCH)
	status.Confidential = b.emulated == nil
	status.Missing = append(missing, status.Missing...)
	if p := inside(m); !p.Active {
		status.Missing = append(status.Missing, tee.Missing{What: p.Name, Why: p.Reason})
	}
	return status
}

// prepareLog tells whether the folder for the log can be had, and makes it if
// now is set.
func (b Backend) prepareLog(dir string, now bool) error {
	_, err := os.Stat(dir)
	if err == nil || !b.parts().mkdir || os.Geteuid() != 0 {
		return err
	}
	if now {
		return os.Mkdir(dir, 0o700)
	}
	return nil
}

// inside tells whether the TPM is under the TEE's protection, too: only then is
// what it says and keeps out of the cloud owner's reach.
func inside(m *machine.Machine) tee.Protection {
	p := tee.Protection{Name: machine.TPMInside}
	switch {
	case m.TPM == nil:
		p.Reason = "there is no TPM"
	case m.Paravisor:
		p.Active = true
	default:
		p.Reason = "nothing tells that it is not the cloud owner's, who could then read what it seals and turn back its counters"
	}
	return p
}

// Launch implements [tee.Backend].
func (b Backend) Launch(ctx context.Context, img *image.Image, cfg tee.LaunchConfig) (tee.Instance, error) {
	m, _, err := b.find(cfg.StateDir)
	if err == nil {
		err = b.prepareLog(m.LogDir, true)
	}
	var i tee.Instance
	if err == nil {
		i, err = m.Launch(ctx, img, cfg, []tee.Protection{{Name: machine.ProtectedMemory, Active: true}, inside(m)})
	}
	if err != nil {
		return nil, fmt.Errorf("launching %s in this confidential VM: %w", img.Manifest.Name, err)
	}
	return i, nil
}
