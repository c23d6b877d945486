package vm

import (
	"errors"
	"fmt"
	"os"

	"github.com/secgear/secgear/sdk/tee/vm/internal/boot"
	"github.com/secgear/secgear/sdk/tee/vm/internal/qemu"
)

// quoteVariable names the socket of Intel's quote generation service.
const quoteVariable = "SECGEAR_TDX_QUOTES"

// traits are what a kind of confidential machine needs, beside what it boots.
type traits struct {
	arch    string
	machine string
	qemu    version // the first one that can
}

// confidentialKinds are the kinds but Plain.
var confidentialKinds = map[Kind]traits{
	SNP: {"amd64", qemu.Q35, version{9, 1}},
	TDX: {"amd64", qemu.Q35, version{10, 1}},
	CCA: {"arm64", qemu.Virt, version{10, 1}},
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
	guest := boot.Guests[b.Name()]
	firmware, err := guest.FindFirmware()
	if err != nil {
		return nil, nil, err
	}
	switch b.kind() {
	case SNP:
		return qemu.SNP{Firmware: firmware, CBit: encryptionBit, ReducedPhy: lostBits, Policy: qemu.SNPPolicy}, guest.Modules, nil
	case TDX:
		return qemu.TDX{Firmware: firmware, QuoteSocket: os.Getenv(quoteVariable)}, guest.Modules, nil
	}
	return qemu.CCA{MeasurementAlgorithm: "sha512"}, guest.Modules, nil
}
