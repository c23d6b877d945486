// The enclave that the C program of these tests calls.
package main

import (
	"github.com/secgear/secgear/sdk/enclave"
	"github.com/secgear/secgear/sdk/idl/internal/fromedl/calls"
	"github.com/secgear/secgear/sdk/idl/internal/fromedl/served"
)

func main() {
	enclave.Main(func(e *enclave.Enclave) error {
		calls.RegisterTrusted(e, served.Trusted{Host: calls.NewUntrustedClient(e)})
		return nil
	})
}
