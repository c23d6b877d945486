// Command testenclave is the enclave of the sandbox's tests: that of the
// conformance suite, which also tries what it must not be able to do.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/secgear/secgear/sdk/internal/sandboxed"
	"github.com/secgear/secgear/sdk/tee/teetest/testenclave"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

func run() error {
	p, ok, err := sandboxed.Start("sim")
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("not launched into a sandbox")
	}
	return testenclave.Serve(p, attempts)
}
