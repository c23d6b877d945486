// Package guest is the enclave's half of TEE sgx: the program in Gramine, the
// library OS.
//
// It trusts Gramine, which is part of what was measured, and through it the
// processor: the manifest's variables, the trusted file with the identity, and the
// pseudo-files in /dev/attestation are theirs. Everything else comes from the
// host: standard input, and what the lanes' memory holds.
//
// There are no monotonic counters: SGX has none that can be used any more. Never
// run: see package sgx.
package guest
