package enclave

import (
	"fmt"

	"github.com/secgear/secgear/sdk/tee"
	sgx "github.com/secgear/secgear/sdk/tee/sgx/guest"
	sim "github.com/secgear/secgear/sdk/tee/sim/guest"
)

// platforms is the table of TEEs that an enclave can find itself in. An entry
// returns false at once when the program was not started in its TEE.
var platforms = []func() (p tee.Platform, ok bool, err error){
	sim.Start,
	sgx.Start,
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
