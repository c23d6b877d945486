package qemu

import "fmt"

// Confidential is what makes a machine one whose memory its owner can't read.
type Confidential interface {
	machine() []string // options of -machine
	cpu() string       // of -cpu
	objects(Machine) []string
}

// SNP is AMD SEV-SNP: QEMU 9.1 or later, on a host whose kernel has it (Linux 6.11).
// Kernel, initramfs and command line are hashed into the launch measurement, which
// the firmware, an OVMF built for it (package AmdSev), checks when it boots them.
type SNP struct {
	Firmware   string // OVMF, one file
	CBit       int    // of addresses, as CPUID 0x8000001f says
	ReducedPhy int    // bits of addresses that encryption takes
	Policy     uint64 // of the guest, as the SNP ABI says
	IDBlock    string // base64, or empty
	IDAuth     string // base64, or empty
	HostData   string // base64 of 32 bytes, or empty
}

// SNPPolicy allows hyper-threads, and neither debugging nor migration (bit 17 is
// always set).
const SNPPolicy = 0x30000

func (s SNP) machine() []string {
	return []string{"confidential-guest-support=tee", "memory-backend=ram"}
}

// SNPModel is the model of the processors: all with SEV-SNP have what it has.
// SEV-SNP measures it.
const SNPModel = "EPYC-v4"

func (s SNP) cpu() string { return SNPModel }

func (s SNP) objects(m Machine) []string {
	snp := fmt.Sprintf("sev-snp-guest,id=tee,cbitpos=%d,reduced-phys-bits=%d,policy=%#x,kernel-hashes=on", s.CBit, s.ReducedPhy, s.Policy)
	for _, o := range []struct{ name, value string }{
		{"id-block", s.IDBlock}, {"id-auth", s.IDAuth}, {"host-data", s.HostData},
	} {
		if o.value != "" {
			snp += "," + o.name + "=" + o.value
		}
	}
	return append([]string{"-object", snp, "-bios", s.Firmware}, ram(m)...)
}

// TDX is Intel TDX: QEMU 10.1 or later, on a host whose kernel has it (Linux
// 6.16). The firmware, OVMF with TDX (TDVF), is measured into MRTD, and measures
// kernel, initramfs and command line into runtime registers.
type TDX struct {
	Firmware    string // TDVF, one file
	MRConfigID  string // base64 of 48 bytes, or empty
	MROwner     string // base64 of 48 bytes, or empty
	QuoteSocket string // path of the quote generation service's socket, or empty
}

func (t TDX) machine() []string {
	return []string{"confidential-guest-support=tee", "memory-backend=ram", "kernel-irqchip=split", "hpet=off"}
}

func (t TDX) cpu() string { return "host" }

func (t TDX) objects(m Machine) []string {
	tdx := `{"qom-type":"tdx-guest","id":"tee"`
	for _, o := range []struct{ name, value string }{{"mrconfigid", t.MRConfigID}, {"mrowner", t.MROwner}} {
		if o.value != "" {
			tdx += fmt.Sprintf(",%q:%q", o.name, o.value)
		}
	}
	if t.QuoteSocket != "" {
		tdx += fmt.Sprintf(`,"quote-generation-socket":{"type":"unix","path":%q}`, t.QuoteSocket)
	}
	return append([]string{"-object", tdx + "}", "-bios", t.Firmware}, ram(m)...)
}

// CCA is a realm of Arm's Confidential Compute Architecture: QEMU with the
// object rme-guest, and a host's kernel with KVM for realms, both of which are
// still to be merged by their projects. Kernel and initramfs are in the realm's initial
// measurement.
type CCA struct {
	MeasurementAlgorithm string // "sha256" or "sha512"
	PersonalizationValue string // base64 of 64 bytes, or empty
}

func (c CCA) machine() []string {
	return []string{"confidential-guest-support=tee"}
}

func (c CCA) cpu() string { return "host" }

func (c CCA) objects(Machine) []string {
	rme := "rme-guest,id=tee,measurement-algorithm=" + c.MeasurementAlgorithm
	if c.PersonalizationValue != "" {
		rme += ",personalization-value=" + c.PersonalizationValue
	}
	return []string{"-object", rme}
}

// ram is the memory behind what the guest makes shared. Its private memory is
// guest_memfd's, which QEMU takes by itself for such machines, and which no
// process can map.
func ram(m Machine) []string {
	return []string{"-object", fmt.Sprintf("memory-backend-memfd,id=ram,size=%dM,share=on,prealloc=off", m.MemoryMiB)}
}
