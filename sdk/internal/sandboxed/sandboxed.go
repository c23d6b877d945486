// Package sandboxed is the enclave's half of package sandbox: it finds the
// sockets that the launch left, and makes a [tee.Platform] of them. Guest halves
// of backends are thin shells around it.
//
// The process is confined before its first instruction, so there is nothing to
// do for that here. Initialisers of the enclave's packages run confined like the
// rest.
//
// What arrives over the sockets is checked for form: lengths, number and kind of
// descriptors, size and seals of memory. What the platform answers (keys,
// counters) is taken at its word, as an enclave does with its CPU.
package sandboxed
