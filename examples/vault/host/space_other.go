//go:build !linux

package main

// freeSpace is not known here: enclaves run on Linux.
func freeSpace(string) (free int64, known bool) { return 0, false }
