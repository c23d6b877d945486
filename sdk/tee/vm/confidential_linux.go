package vm

import (
	"errors"
	"fmt"

	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/vm/internal/qemu"
)

// confidential is what makes a machine of that type one of the backend's kind,
// and the modules that its guest needs.
func (b Backend) confidential(machine string) (qemu.Confidential, []string, error) {
	if b.kind() == Plain {
		return nil, nil, nil
	}
	return nil, nil, fmt.Errorf("TEE %s on a %s: %w", b.Name(), machine, errors.ErrUnsupported)
}

// missingHardware names what a confidential machine lacks here.
func (b Backend) missingHardware(arch string) []tee.Missing {
	if b.kind() == Plain {
		return nil
	}
	return []tee.Missing{{What: b.Name(), Why: "not yet"}}
}
