// Package vm runs enclaves as virtual machines: an image boots as a machine of its
// own, by QEMU, with a kernel, the enclave as its only program, and no device but a
// serial port and the memory of its lanes.
//
// A plain machine (TEE "vm") protects the host from the enclave, as a sandbox does
// and with less of the host's kernel in reach, and protects nothing from the
// machine's owner, who reads its memory as any process's. Protections of its instance
// says so. Confidential machines (TEEs "tdx", "sev-snp" and "cca") are the
// same ones with a processor that encrypts their memory; they need hardware,
// firmware and versions of QEMU and Linux that [Backend.Probe] names. None of these
// three was ever run: see docs/vm.md.
//
// The enclave's half is package guest. Linux only.
package vm

// Kind is a kind of virtual machine, and the name of its TEE.
type Kind string

// The kinds.
const (
	Plain Kind = "vm"
	TDX   Kind = "tdx"
	SNP   Kind = "sev-snp"
	CCA   Kind = "cca"
)

// Backend is the [tee.Backend] for one kind of virtual machine. The zero value
// runs plain ones.
type Backend struct {
	// Kind is the kind of machine. Default: Plain.
	Kind Kind

	// Machine is the type of machine: "q35" or "microvm" on x86-64, "virt" on arm64.
	// Default: the environment's SECGEAR_VM_MACHINE, else "q35" or "virt".
	Machine string
}

// Name implements [tee.Backend].
func (b Backend) Name() string { return string(b.kind()) }

func (b Backend) kind() Kind {
	if b.Kind == "" {
		return Plain
	}
	return b.Kind
}
