// Package machine makes a platform for sandboxed enclaves of a machine that is
// measured: by a TPM, by TDX's registers, or both. An image is measured before it
// runs; evidence is a report of the confidential VM that the machine is, or a
// quote of the TPM, bound to that measurement and to the enclave's data; sealing
// keys and counters are the TPM's.
//
// The launching process is trusted here, as is all that may use the TPM and the
// registers beside it: it says which enclave asks. What it can't do is deny what
// was measured, or make a key of another machine's state.
package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/report"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/entitlement"
	"github.com/secgear/secgear/sdk/internal/sandbox"
	"github.com/secgear/secgear/sdk/internal/tpm"
	"github.com/secgear/secgear/sdk/measured"
	"github.com/secgear/secgear/sdk/tee"
)

// Register is a register of TDX.
type Register interface {
	// Read returns its value, of SHA-384.
	Read() ([]byte, error)
	// Extend extends it with a digest.
	Extend(digest []byte) error
}

// Machine is where enclaves are launched. It has at least one of TPM and RTMR.
type Machine struct {
	// TEE is the backend's name.
	TEE string
	// Emulated marks what is made for tests. It is in all evidence.
	Emulated bool
	// TPM is the machine's, or nil.
	TPM *tpm.TPM
	// TSM makes reports, or is nil.
	TSM configfsi.Client
	// Paravisor tells that the TPM is inside the confidential VM, and that reports
	// over its key are in it, as in Azure's.
	Paravisor bool
	// RTMR is the register of TDX that images are measured into, or nil.
	RTMR Register
	// LogDir is where the log of measurements is kept until the machine restarts.
	LogDir string
	// StateDir has the name of the secret that sealing keys are derived from.
	StateDir string
}

// sealingPCRs are the registers that a machine's sealing keys depend on: boot
// loader and unified kernel image (4), the state of Secure Boot (7), boot loader
// commands and the kernel's command line (8, 12), kernel and initrd (9). Not the
// firmware's (0 to 3), which the owner of a cloud replaces at times, and not 11,
// which changes while the system starts.
var sealingPCRs = []int{4, 7, 8, 9, 12}

// enclave is what the machine does for one enclave, [sandbox.Hardware].
type enclave struct {
	machine *Machine
	id      tee.Identity
	event   []byte
}

// enter measures an image that is to be started with commandLine, and returns
// what the machine does for it.
func (m *Machine) enter(id tee.Identity, commandLine string) (*enclave, error) {
	event, err := measured.EventOf(id, commandLine).Encode()
	if err != nil {
		return nil, err
	}
	err = m.withLog(func(l *log) error { return l.measure(event) })
	if err != nil {
		return nil, fmt.Errorf("measuring the image: %w", err)
	}
	return &enclave{m, id, event}, nil
}

// registerNames names those that images are measured into.
func (m *Machine) registerNames() (names []string) {
	for _, r := range m.registers() {
		names = append(names, r.kind.String())
	}
	return names
}

// allPCRs are what is quoted.
var allPCRs = func() (list []int) {
	for i := range measured.PCRs {
		list = append(list, i)
	}
	return list
}()

// Evidence implements [tee.Attester], in the format of package measured.
func (e *enclave) Evidence(data [64]byte) (b []byte, err error) {
	err = e.machine.withLog(func(l *log) error {
		b, err = e.evidence(l, data)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("making evidence: %w", err)
	}
	return b, nil
}

func (e *enclave) evidence(l *log, data [64]byte) (b []byte, err error) {
	m := e.machine
	ev := &measured.Evidence{TEE: m.TEE, Emulated: m.Emulated, Event: e.event, Data: data, Log: l.Log}
	if err := l.reconcile(); err != nil {
		return nil, err
	}
	if m.TPM != nil {
		if ev.Quote, err = m.TPM.Quote(ev.Nonce(), allPCRs); err != nil {
			return nil, err
		}
	}
	if m.TSM != nil {
		if ev.Report, err = m.report(ev.ReportData()); err != nil {
			return nil, fmt.Errorf("asking for a report: %w", err)
		}
	}
	if _, err := ev.Check(); err != nil {
		return nil, err
	}
	return ev.Encode()
}

// report has the kernel make a report over data.
func (m *Machine) report(data [64]byte) (got *measured.Report, err error) {
	r, err := report.Create(m.TSM, &report.Request{InBlob: data[:]})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Destroy()) }()
	answer, err := r.Get()
	if err != nil {
		return nil, err
	}
	// Not every provider has certificates, and a verifier can get them elsewhere.
	aux, err := r.ReadOption("auxblob")
	if err != nil && report.GetGenerationErr(err) != nil {
		return nil, err
	}
	return &measured.Report{Provider: trimLine(answer.Provider), Out: answer.OutBlob, Aux: aux}, nil
}

// trimLine cuts the line's end that the kernel adds.
func trimLine(s string) string {
	if n := len(s); n > 0 && s[n-1] == '\n' {
		return s[:n-1]
	}
	return s
}

// errNoTPM says what there can be no sealing and no counters without.
var errNoTPM = fmt.Errorf("this machine has no TPM: %w", errors.ErrUnsupported)

// What is derived from the machine's secret.
const (
	useSealing  = "secgear sealing v1"
	useCounters = "secgear counters v1"
)

// SealingKey implements [tee.SealingKeys], as package entitlement says. The key
// can be had again on this machine, for this state folder, as long as it starts
// the same system.
func (e *enclave) SealingKey(policy tee.Policy, version uint32, salt [32]byte) (key [32]byte, err error) {
	if e.machine.TPM == nil {
		return key, fmt.Errorf("deriving a sealing key: %w", errNoTPM)
	}
	if err := entitlement.Check(e.id, policy, version); err != nil {
		return key, err
	}
	secret, err := e.machine.secret(useSealing)
	if err != nil {
		return key, err
	}
	defer clear(secret[:])
	return entitlement.SealingKey(secret[:], e.id, policy, version, salt)
}

// Counter implements [tee.Counters].
func (e *enclave) Counter(id string) (uint64, error) {
	return e.count("reading", id, (*tpm.TPM).Counter)
}

// Increment implements [tee.Counters].
func (e *enclave) Increment(id string) (uint64, error) {
	return e.count("incrementing", id, (*tpm.TPM).Increment)
}

func (e *enclave) count(what, id string, f func(t *tpm.TPM, key, id [32]byte) (uint64, error)) (v uint64, err error) {
	var key [32]byte
	switch {
	case e.machine.TPM == nil:
		err = errNoTPM
	default:
		if err = entitlement.CheckCounterID(id); err == nil {
			key, err = e.machine.secret(useCounters)
		}
	}
	if err == nil {
		owner := entitlement.Owner(e.id)
		name := measured.SHA256.Sum(append(owner[:], id...))
		v, err = f(e.machine.TPM, key, [32]byte(name))
		clear(key[:])
	}
	if err != nil {
		return 0, fmt.Errorf("%s counter %.*q: %w", what, entitlement.MaxCounterID, id, err)
	}
	return v, nil
}

// secret derives from the machine's secret, which is named at first use.
func (m *Machine) secret(use string) (derived [32]byte, err error) {
	unlock, err := lock(m.StateDir)
	if err != nil {
		return derived, err
	}
	name := filepath.Join(m.StateDir, secretFile)
	s, err := readSecret(name)
	if errors.Is(err, os.ErrNotExist) {
		s, err = m.newSecret(name)
	}
	if err = errors.Join(err, unlock()); err != nil {
		return derived, fmt.Errorf("the machine's secret: %w", err)
	}
	derived, err = m.TPM.Derive(s, use)
	var changed *tpm.ChangedError
	switch {
	case errors.As(err, &changed):
		err = fmt.Errorf("%w (hint: %s was made when this machine had started another system, kernel or command line; start that, or remove it and lose everything sealed here)", err, name)
	case errors.Is(err, tpm.ErrOtherTPM):
		err = fmt.Errorf("%w (hint: %s was made with another TPM; remove it and lose everything sealed here)", err, name)
	}
	return derived, err
}

// Launch starts img in a sandbox of this machine, measured.
func (m *Machine) Launch(ctx context.Context, img *image.Image, cfg tee.LaunchConfig, around []tee.Protection) (tee.Instance, error) {
	t := sandbox.TEE{Name: m.TEE, Inside: m.TSM != nil || m.Paravisor, Enter: func(ctx context.Context, id tee.Identity) (sandbox.Hardware, []tee.Protection, error) {
		e, err := m.enter(id, measured.CommandLineOf(img))
		if err != nil {
			return nil, nil, err
		}
		start := tee.Protection{Name: "measured start: " + strings.Join(m.registerNames(), ", "), Active: true}
		return e, append([]tee.Protection{start}, around...), nil
	}}
	return t.Launch(ctx, img, cfg)
}
