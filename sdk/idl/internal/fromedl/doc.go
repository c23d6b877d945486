// Package fromedl tests what is made of EDL: a contract, its stubs, and their
// checks on sizes, counts, texts and directions, over a real lane.
package fromedl

//go:generate go tool secgear generate calls.edl
