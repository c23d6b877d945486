// The program inside the enclave that the benchmark of calls measures.
package main

import (
	"github.com/secgear/secgear/bench/echo"
	"github.com/secgear/secgear/sdk/enclave"
)

func main() { enclave.Main(setup) }

func setup(e *enclave.Enclave) error {
	echo.RegisterEchoer(e, echoer{})
	ln, err := e.Listen(echo.Stream)
	if err != nil {
		return err
	}
	go echo.ServeStreams(ln) // until the host wants us to stop
	return nil
}
