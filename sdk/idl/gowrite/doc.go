// Package gowrite writes the Go stubs of checked contracts: clients,
// registration and codec in one file, boundary tests in another. Everything
// that need not be generated is in package call, which the stubs use.
package gowrite
