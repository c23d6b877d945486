// Command testenclave is the conformance suite's enclave in a virtual machine.
package main

import (
	"fmt"
	"os"

	"github.com/secgear/secgear/sdk/tee/teetest/testenclave"
	"github.com/secgear/secgear/sdk/tee/vm/guest"
)

func main() {
	p, ok, err := guest.Start()
	if err != nil || !ok {
		fmt.Fprintln(os.Stderr, "testenclave: not started in a virtual machine:", err)
		os.Exit(2)
	}
	if err := testenclave.Serve(p, nil); err != nil {
		fmt.Fprintln(os.Stderr, "testenclave:", err)
		os.Exit(1)
	}
}
