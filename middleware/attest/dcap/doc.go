// Package dcap parses and verifies Intel's DCAP quotes: of SGX enclaves (version 3) and
// TDX guests (versions 4 and 5).
//
// A [Quote] is parsed, strictly; a [Verifier] holds it against collateral: Intel's
// statements about the state of processors (TCB info), about the quoting enclave (QE
// identity), and the lists of certificates that were taken back. The collateral's own
// signatures are verified once, when the Verifier is made.
//
// Formats: Intel SGX ECDSA Quote Library Reference, appendix A; Intel TDX DCAP Quoting
// Library API, appendix A; Intel SGX PCK Certificate and CRL Profile; Intel PCS API
// version 4.
package dcap
