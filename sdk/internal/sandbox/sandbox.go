// Package sandbox launches an enclave as an ordinary process of this machine,
// confined before its first instruction by all that the kernel has: namespaces,
// an empty root, Landlock, seccomp, no capabilities, limits.
// [tee.Instance.Protections] names each piece, and why one is missing. Backends
// whose TEE surrounds the whole machine (or is only pretended) are made of it.
//
// So an enclave reaches nothing but its platform, its control stream and its
// lanes, and harms nobody if it is taken over. The other direction is not this
// package's: whoever is root here, or the user who launched the enclave and gives
// some effort to it, reads and alters its memory. A panic's text goes to the log
// only for debug images, since it may hold anything.
//
// The limits bound what an enclave uses of memory, threads and descriptors, the
// Go heap in steps of 64 MiB; they are not a fair share of the machine. A launch
// forks the host, so that it takes longer the more memory the host has in use.
//
// An image for another architecture than the machine's runs in an emulator, QEMU
// in user mode, where its Debian package qemu-user-static has put it. The
// sandbox is then around the emulator, which needs more of the kernel than a Go
// program does; Protections names what is weaker.
//
// Linux 5.10 or later. On other systems [TEE.ProbeArch] says that it isn't
// available. The enclave's half is package sandboxed.
package sandbox

import (
	"context"

	"github.com/secgear/secgear/sdk/tee"
)

// TEE is the one that a sandboxed program is told it is in.
type TEE struct {
	// Name is the backend's.
	Name string

	// Enter is called once for a launch, before an encrypted image's key is asked
	// for and long before its program runs: to measure id, and to return what
	// answers the enclave then, with what there is of protection beyond the
	// sandbox's. Never nil.
	Enter func(ctx context.Context, id tee.Identity) (Hardware, []tee.Protection, error)

	// Inside tells that the process that launches is itself inside the TEE.
	Inside bool

	// Without, for tests, is the part of the confinement to leave out.
	Without string
	// Emulator, for tests, is the file to take for the emulator.
	Emulator string
}

// Hardware is what a TEE does for one enclave that runs in it. What it lacks
// answers with [errors.ErrUnsupported]. Arguments were chosen by the enclave.
// Methods may be called concurrently.
type Hardware interface {
	tee.SealingKeys
	tee.Attester
	tee.Counters
}
