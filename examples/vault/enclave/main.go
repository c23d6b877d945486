// The enclave: the program that runs in the TEE and keeps the keys of files.
//
// It is an ordinary Go program. The contract is in the folder above, what the
// enclave may use stands in secgear.json: "lanes" is 1, so that nobody but the
// process that loaded it can call it.
package main

import (
	"github.com/secgear/secgear/examples/vault"
	"github.com/secgear/secgear/sdk/enclave"
)

func main() { enclave.Main(setup) }

// setup registers what the enclave serves. Tests call it too.
func setup(e *enclave.Enclave) error {
	s := &service{enclave: e, files: make(map[vault.File]*file)}
	vault.RegisterVault(e, s)
	vault.RegisterDetours(e, s)
	return nil
}
