package vm

import (
	"errors"
	"fmt"
	"os"

	"github.com/secgear/secgear/sdk/tee/vm/internal/qemu"
)

// What a confidential machine may be told to use.
const (
	firmwareVariable = "SECGEAR_VM_FIRMWARE"
	quoteVariable    = "SECGEAR_TDX_QUOTES" // socket of Intel's quote generation service
)

// traits are what a kind of confidential machine needs.
type traits struct {
	arch     string
	machine  string
	modules  []string // of the guest's kernel
	firmware []string // where it may be; none: the machine needs none
	fix      string   // how to get the firmware
	qemu     version  // the first one that can
}

// confidentialKinds are the kinds but Plain.
var confidentialKinds = map[Kind]traits{
	SNP: {
		"amd64", qemu.Q35,
		[]string{"configfs", "tsm", "sev-guest"},
		[]string{"/usr/share/ovmf/OVMF.amdsev.fd"},
		"apt-get install ovmf (Debian 13), or build AmdSev of edk2",
		version{9, 1},
	},
	TDX: {
		"amd64", qemu.Q35,
		[]string{"configfs", "tsm", "tdx-guest"},
		[]string{"/usr/share/ovmf/OVMF.inteltdx.ms.fd", "/usr/share/ovmf/OVMF.inteltdx.fd"},
		"apt-get install ovmf (Debian 13), or build IntelTdx of edk2",
		version{10, 1},
	},
	CCA: {
		"arm64", qemu.Virt,
		[]string{"configfs", "tsm", "arm-cca-guest"},
		nil, "",
		version{10, 1},
	},
}

// All AMD processors with SEV-SNP so far mark encrypted memory by this bit of the
// address, and lose as many bits of it.
const (
	encryptionBit = 51
	lostBits      = 1
)

// confidential is what makes a machine of that type one of the backend's kind,
// and the modules that its guest needs. nil is for plain machines.
func (b Backend) confidential(machine string) (qemu.Confidential, []string, error) {
	if b.kind() == Plain {
		return nil, nil, nil
	}
	k, ok := confidentialKinds[b.kind()]
	if !ok || machine != k.machine {
		return nil, nil, fmt.Errorf("TEE %s on a machine of type %s: %w", b.Name(), machine, errors.ErrUnsupported)
	}
	firmware, err := k.findFirmware()
	if err != nil {
		return nil, nil, err
	}
	switch b.kind() {
	case SNP:
		return qemu.SNP{Firmware: firmware, CBit: encryptionBit, ReducedPhy: lostBits, Policy: qemu.SNPPolicy}, k.modules, nil
	case TDX:
		return qemu.TDX{Firmware: firmware, QuoteSocket: os.Getenv(quoteVariable)}, k.modules, nil
	}
	return qemu.CCA{MeasurementAlgorithm: "sha512"}, k.modules, nil
}

// findFirmware returns the firmware's file, or "" if none is needed.
func (k traits) findFirmware() (string, error) {
	files := k.firmware
	if name := os.Getenv(firmwareVariable); name != "" && len(files) > 0 {
		files = []string{name}
	}
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && info.Mode().IsRegular() {
			return f, nil
		}
	}
	if len(files) > 0 {
		return "", fmt.Errorf("the firmware is missing: no file %s", files[0])
	}
	return "", nil
}
