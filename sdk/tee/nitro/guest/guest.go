// Package guest is the enclave's half of AWS Nitro Enclaves: the program is the
// only one in the enclave's own virtual machine, speaks with its host over vsock,
// and has evidence from the Nitro Secure Module.
//
// There is no memory that host and enclave share, so that every call is switched
// and there are neither shared buffers nor streams. Nitro gives no keys for
// sealing and no counters: they have to be released to the enclave, on its
// evidence, by a key management or attestation service.
//
// What the program is told of itself lies in the RAM disk that it was started
// from, which the hypervisor measured. What arrives over vsock is chosen by the
// host.
package guest

// Name is the platform's name, as that of the backend.
const Name = "nitro"
