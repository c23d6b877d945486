// Package enclave is the trusted side of secgear: what the program inside an
// enclave uses.
package enclave
