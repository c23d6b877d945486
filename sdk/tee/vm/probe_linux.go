package vm

import (
	"runtime"

	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/vm/internal/boot"
	"github.com/secgear/secgear/sdk/tee/vm/internal/qemu"
)

// Probe implements [tee.Backend].
func (b Backend) Probe() tee.Status { return b.ProbeArch(runtime.GOARCH) }

// ProbeArch implements [tee.Architectures].
func (b Backend) ProbeArch(arch string) tee.Status {
	machine, err := b.machineType(arch)
	if err != nil {
		return tee.Status{Missing: []tee.Missing{{What: "machine for " + arch, Why: err.Error()}}}
	}
	missing := b.missingHardware(arch)
	if _, err := findQEMU(machine); err != nil {
		missing = append(missing, tee.Missing{What: qemu.Binary(machine), Why: err.Error(), Fix: fixQEMU(machine)})
	}
	if _, err := boot.FindKernel(arch); err != nil {
		missing = append(missing, tee.Missing{What: "kernel for " + arch, Why: err.Error(), Fix: "scripts/setup vm, or scripts/kernel " + arch})
	}
	if len(missing) > 0 {
		return tee.Status{Missing: missing}
	}
	s := tee.Status{Available: true, Confidential: b.kind() != Plain}
	if err := probeKVM(arch); err != nil {
		s.Missing = append(s.Missing, tee.Missing{What: "hardware virtualisation", Why: err.Error(), Fix: fixKVM(arch)})
	}
	if b.kind() == Plain {
		s.Missing = append(s.Missing, tee.Missing{What: "memory encryption", Why: "a plain machine: its owner reads and alters all of it"})
	}
	return s
}

// fixQEMU names the package of QEMU.
func fixQEMU(machine string) string {
	if machine == qemu.Virt {
		return "apt-get install qemu-system-arm"
	}
	return "apt-get install qemu-system-x86"
}

// fixKVM says what can be done where machines are emulated.
func fixKVM(arch string) string {
	if arch != runtime.GOARCH {
		return "a machine with " + arch + " processors"
	}
	return "a machine with KVM, whose /dev/kvm this user can open (group kvm)"
}
