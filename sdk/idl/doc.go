// Package idl turns contracts into stubs. A contract is a Go interface with a
// directive; [Generate] writes the client, the registration and the codec that
// both sides of the boundary share, and tests that play a hostile peer.
//
// # Contracts
//
// Directives stand directly above what they mark, in its doc comment:
//
//	//secgear:ecall     an interface: implemented in the enclave, called by the host
//	//secgear:ocall     an interface: implemented on the host, called by the enclave
//	//secgear:switched  a method: its calls go over the doorbell, not through shared memory
//	//secgear:error     a var declaration: errors that keep their identity across the boundary
//	//secgear:check …   a method or struct: what its values must be beyond their types
//	//secgear:private   a method of an ecall contract: served only while a call that allows it is in flight
//	//secgear:allow …   a method of an ocall contract: the private methods that may be called meanwhile
//
// Methods take a [context.Context] first and return an error last. Between
// them any number of arguments and results may have these types, types named
// after them in the contract's package, and aliases:
//
//   - bool, all integers but uintptr, float32, float64, string, []byte
//   - [time.Time] (the instant, in UTC), [time.Duration]
//   - structs, declared in the contract's package, with exported fields only
//   - pointers to structs, which may be nil
//   - slices and arrays; nil and empty slices are the same on the wire and
//     arrive as nil
//   - maps with string or integer keys, which never arrive as nil
//   - shm.Buffer by itself or in a struct, but not in slices, arrays or maps
//
// A value arrives as a copy: two pointers to one struct arrive as two structs,
// and types must not contain themselves. Interfaces don't embed others, so that
// the order of methods, which numbers them, is plain. The package of a contract
// need not compile while stubs are generated.
//
// # EDL
//
// The language of secGear, the SGX SDK and Open Enclave is read by package edl
// and written as such a contract: see [EDL].
//
// # Compatibility
//
// A contract has a fingerprint ([model.Contract.ID]) over methods, types and
// sentinels. Sides whose fingerprints differ refuse each other's calls. So the
// names of arguments and types may change freely, anything else needs both
// sides to be built anew.
package idl
