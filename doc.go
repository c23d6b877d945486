// Package secgear is the root of a module for writing the secret part of a
// program as an ordinary Go program with a typed interface, running it in the
// trusted execution environment (TEE) that the machine has, and calling it
// through shared memory.
//
// The package itself holds no code: it is where the tests live that watch over
// the whole tree (layering, what enclaves link, generated code, snippets in the
// documentation). Start with
//
//   - sdk/host, for the program that loads and calls an enclave;
//   - sdk/enclave, for the program inside;
//   - sdk/enclavetest, for testing it with plain go test;
//   - cmd/secgear, for the command that generates, builds, signs and runs.
package secgear
