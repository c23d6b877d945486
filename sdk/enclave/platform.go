package enclave

import (
	"fmt"

	"github.com/secgear/secgear/sdk/tee"
	cvm "github.com/secgear/secgear/sdk/tee/cvm/guest"
	nitro "github.com/secgear/secgear/sdk/tee/nitro/guest"
	sgx "github.com/secgear/secgear/sdk/tee/sgx/guest"
	sim "github.com/secgear/secgear/sdk/tee/sim/guest"
	tpm "github.com/secgear/secgear/sdk/tee/tpm/guest"
	vm "github.com/secgear/secgear/sdk/tee/vm/guest"
)

// platforms is the table of TEEs that an enclave can find itself in. An entry
// returns false at once when the program was not started in its TEE.
var platforms = []func() (p tee.Platform, ok bool, err error){
	cvm.Start,
	tpm.Start,
	sim.Start,
	sgx.Start,
	nitro.Start,
	vm.Start,
}

// platform finds the TEE that this program was started in. Its error matches
// errNoTEE when there is none.
func platform() (tee.Platform, error) {
	for _, start := range platforms {
		p, ok, err := start()
		if err != nil {
			return nil, fmt.Errorf("starting the enclave: %w", err)
		}
		if ok {
			return p, nil
		}
	}
	return nil, errNoTEE
}
