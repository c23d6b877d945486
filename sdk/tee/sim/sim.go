// Package sim is the simulation: enclaves as ordinary processes of this
// machine, for development, tests and machines without a TEE.
//
// An enclave gets a process of its own, confined before its first instruction
// by all that the kernel has: namespaces, an empty root, Landlock, seccomp, no
// capabilities, limits. [tee.Instance.Protections] names each piece, and why one
// is missing. So an enclave lives here under the same conditions as in a TEE
// (it reaches nothing but its platform, its control stream and its lanes), and
// harms nobody if it is taken over.
//
// The other direction is what a TEE has and a simulation can't: whoever is root
// on this machine, or the user who launched the enclave and gives some effort to
// it, reads and alters its memory, and knows its keys. Its evidence says so; see
// package evidence. A panic's text goes to the log only for debug images, since
// it may hold anything.
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
// The enclave's half is package guest; what both need of the pretended silicon
// is package hardware.
//
// Linux 5.10 or later. On other systems [Backend.Probe] says that it isn't
// available.
package sim

import "time"

// Name is the name of the simulation, here and in the enclave.
const Name = "sim"

// Backend is the simulation's [tee.Backend]. The zero value is ready.
type Backend struct {
	without  string // tests: the part of the confinement to leave out
	emulator string // tests: the file to take for the emulator

	pulse time.Duration // tests: how soon an emulated enclave that stands still is noticed
}

// Name implements [tee.Backend].
func (Backend) Name() string { return Name }
