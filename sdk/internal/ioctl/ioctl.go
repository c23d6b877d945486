// Package ioctl makes device control calls, and takes the addresses that some
// of them want. It uses package syscall only: enclaves link it.
//
// Linux only.
package ioctl
