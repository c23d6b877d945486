// Package sgx runs enclaves in Intel SGX, inside the library OS Gramine: the image's
// program is an ordinary static one, and Gramine is what stands between it and the
// processor.
//
// None of this was ever run with Gramine or on a processor with SGX: it is written
// to their documentation and tested against programs that play Gramine's part. See
// docs/sgx.md.
//
// A launch writes program, identity and Gramine's manifest ([Lay]) to a folder
// of its own, has them signed by gramine-sgx-sign or takes what was signed
// beforehand, and starts gramine-sgx there. Gramine has no socket to the host's
// processes, so control stream and bells go through package mux over the program's
// standard input and output; lanes are files of the folder that Gramine maps as
// untrusted shared memory. The folder is gone with the enclave, also if the host is
// killed.
//
// What runs by [Backend.Direct] is not in SGX at all and has another name.
//
// The enclave's half is package guest. Packages sigstruct, mrenclave and report are
// about SGX's own structures and need neither Gramine nor a processor.
package sgx

import "github.com/secgear/secgear/sdk/tee/sgx/internal/wire"

// Names of the TEE, here and in the enclave.
const (
	Name       = wire.Name
	DirectName = wire.DirectName
)

// Variables that say how enclaves get signed, if Backend does not.
const (
	keyVariable    = "SECGEAR_SGX_KEY"
	signedVariable = "SECGEAR_SGX_SIGNED"
)

// Backend is the [tee.Backend]. The zero value is ready.
type Backend struct {
	// Direct runs the enclave in Gramine without SGX, for development: nothing is
	// protected, and the TEE's name is DirectName.
	Direct bool

	// Key is the file with the key by which gramine-sgx-sign signs at each launch:
	// RSA, 3072 bits, exponent 3. Default: the environment's SECGEAR_SGX_KEY.
	Key string

	// Signed is the folder with enclave.manifest.sgx and enclave.sig of the image,
	// signed beforehand. Default: the environment's SECGEAR_SGX_SIGNED.
	Signed string

	// Gramine is the folder of Gramine's library OS. Default: GramineDir.
	Gramine string
}

// GramineDir is where Gramine's packages put the library OS.
const GramineDir = "/usr/lib/x86_64-linux-gnu/gramine"

// Name implements [tee.Backend].
func (b Backend) Name() string {
	if b.Direct {
		return DirectName
	}
	return Name
}
