// Command testenclave is the enclave of the tests of TEE sgx: that of the
// conformance suite.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/secgear/secgear/sdk/tee/sgx/guest"
	"github.com/secgear/secgear/sdk/tee/teetest/testenclave"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

func run() error {
	p, ok, err := guest.Start()
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("not launched in Gramine")
	}
	return testenclave.Serve(p, nil)
}
