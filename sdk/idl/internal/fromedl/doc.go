// Package fromedl tests what is made of EDL: a contract, its stubs, and their
// checks on sizes, counts, texts and directions, over a real lane; and the host's
// side in C, by a program that calls each function.
package fromedl

//go:generate go tool secgear generate --c c calls.edl
