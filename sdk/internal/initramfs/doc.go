// Package initramfs makes the root file system of an enclave that is a whole
// machine, and is that machine's beginning.
//
// The host's half packs an image into an archive in the kernel's format, always
// the same bytes for the same image: the program as /init, what the image says of
// itself, and the kernel's modules that the program needs. Where a TEE measures
// what it boots it measures all of that.
//
// The guest's half runs as process 1: it mounts what the kernel shows, loads the
// modules, starts the program again as its child, and ends the machine after it.
// What it reads from its own archive is measured, but is checked like all else.
package initramfs
