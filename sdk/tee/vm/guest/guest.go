// Package guest is the enclave's half of virtual machines: the program is the
// machine's only one, process 1, and the host speaks to it through a serial port
// and memory shared by a PCI device.
//
// Who the enclave is says the initramfs that it was started from, which a
// confidential machine measures, and never the host. What the host sends is
// bounded, copied and checked; from the machine's hardware comes what decides
// whether a memory is as large as the host says.
package guest

// Plain is the name of a machine that protects nothing from its owner.
const Plain = "vm"

// Names are those of the platforms that a guest may be: Plain, and confidential
// ones.
var Names = []string{Plain, "tdx", "sev-snp", "cca"}
