// Package tpmtest runs TPMs for tests: swtpm, an emulator. Linux only.
package tpmtest
