// Package guest is the enclave's half of the simulation: it finds the sockets
// that package sim's launch left, and makes a [tee.Platform] of them.
//
// The process is confined before its first instruction, so there is nothing to
// do for that here. Initialisers of the enclave's packages run confined like the
// rest.
//
// What arrives over the sockets is checked for form: lengths, number and kind of
// descriptors, size and seals of memory. What the simulated platform answers
// (keys, counters) is taken at its word, as an enclave does with its CPU.
package guest

// Name is the platform's name, as that of the backend.
const Name = "sim"
