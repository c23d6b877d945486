// Package host is the untrusted side of secgear: it loads enclaves and calls
// them.
package host
