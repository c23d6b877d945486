// Package all is the host's table of backends. Nothing else but it and the
// command knows them all.
package all

import (
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/cvm"
	"github.com/secgear/secgear/sdk/tee/nitro"
	"github.com/secgear/secgear/sdk/tee/sgx"
	"github.com/secgear/secgear/sdk/tee/sim"
	"github.com/secgear/secgear/sdk/tee/tpm"
	"github.com/secgear/secgear/sdk/tee/vm"
)

// Backends returns every backend, the strongest first. A new one is added here.
// What auto takes depends on tee.Status.Confidential, too.
func Backends() []tee.Backend {
	return []tee.Backend{
		sgx.Backend{},
		vm.Backend{Kind: vm.SNP},
		vm.Backend{Kind: vm.TDX},
		vm.Backend{Kind: vm.CCA},
		nitro.Backend{},
		cvm.Backend{},
		// These protect nothing from the machine's owner. The simulation starts at
		// once.
		sim.Backend{},
		tpm.Backend{},
		vm.Backend{},
		sgx.Backend{Direct: true},
	}
}
