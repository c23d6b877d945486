// Package enclavetest runs an enclave for the length of a test:
//
//	func TestHello(t *testing.T) {
//		e := enclavetest.Start(t, setup) // what main gives to enclave.Main
//		g := demo.NewGreeterClient(e)
//		…
//	}
//
// By default the enclave runs in the test's own process: no image is built,
// nothing is launched, breakpoints on both sides are hit, the race detector and
// coverage see both sides, and it works wherever Go does. Calls take the same
// road as ever (stubs, codec, lanes), keys, evidence and counters come from the
// simulated platform, and state is kept in a folder that goes with the test. The
// manifest is that of secgear.json in the enclave's folder, so that a service it
// forgets to list is refused as in production; where there is none, all may be
// called.
//
// With [Sandboxed], or with SECGEAR_TEST_SANDBOXED=1 in the environment, the
// enclave's package is built into an image and launched in the simulation, as a
// process of its own behind the sandbox.
package enclavetest
