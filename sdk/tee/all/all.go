// Package all is the host's table of backends. Nothing else but it and the
// command knows them all.
package all

import (
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/cvm"
	"github.com/secgear/secgear/sdk/tee/sim"
	"github.com/secgear/secgear/sdk/tee/tpm"
	"github.com/secgear/secgear/sdk/tee/vm"
)

// Backends returns every backend, the strongest first. A new one is added here.
func Backends() []tee.Backend {
	return []tee.Backend{
		vm.Backend{Kind: vm.SNP},
		vm.Backend{Kind: vm.TDX},
		vm.Backend{Kind: vm.CCA},
		cvm.Backend{},
		// These protect nothing from the machine's owner. The first binds what is
		// sealed to the machine, and the simulation starts at once.
		tpm.Backend{},
		sim.Backend{},
		vm.Backend{},
	}
}
