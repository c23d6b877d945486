// Package image holds what is said of an enclave's program: its manifest, its
// measurement and who signed it. Package imagefile reads and writes the files
// that hold all that together with the program; enclaves need this package only.
package image

// Image is a verified enclave image. Everything in it is covered by the
// signature of Signer.
type Image struct {
	Manifest Manifest
	Program  []byte // a static executable; must not be changed
	Arch     string // machine that Program is for, as GOARCH
	Digest   Digest
	Signer   SignerID
}
