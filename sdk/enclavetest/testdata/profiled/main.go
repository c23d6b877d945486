// The enclave of the tests of profiles in a sandbox: it serves nothing of its own.
package main

import (
	"github.com/secgear/secgear/sdk/enclave"
	_ "github.com/secgear/secgear/sdk/enclave/pprof"
)

func main() { enclave.Main(func(*enclave.Enclave) error { return nil }) }
