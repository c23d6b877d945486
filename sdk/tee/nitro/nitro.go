// Package nitro launches enclaves in AWS Nitro Enclaves: virtual machines
// without disk, network or administrator, whose memory and processors the
// hypervisor has taken from the instance that launched them.
//
// On an instance with enclaves enabled it uses the kernel's driver
// (/dev/nitro_enclaves). On any other machine it emulates: QEMU's machine
// "nitro-enclave" boots the same file, and its Nitro Secure Module makes
// documents that nobody signed. An emulated enclave is for development and
// tests; [tee.Instance.Protections] and its evidence say what it is. An instance
// whose driver is there but does not work is an error, and never emulated
// instead.
//
// [EIF] makes the file that is launched, always the same for the same image and
// kernel, so that its measurements can be known before anything runs (package
// eif). Evidence is read by package document. The enclave's half is package
// guest.
//
// Calls go over vsock: there is no memory that host and enclave share.
//
// Nothing here has been run on AWS: the driver's side is tested against a
// double of it.
package nitro

// Name is the TEE's name, here and in the enclave.
const Name = "nitro"

// Backend is the [tee.Backend]. The zero value is ready.
type Backend struct {
	driver driver // nil: the kernel's; tests have a double of it
}

// Name implements [tee.Backend].
func (Backend) Name() string { return Name }
