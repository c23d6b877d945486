// Package image holds what is said of an enclave's program: its manifest, its
// measurement, who signed it and what it is encrypted with. Package imagefile
// reads and writes the files that hold all that together with the program;
// enclaves need this package only.
package image

// Image is a verified enclave image. Everything in it is covered by the
// signature of Signer.
type Image struct {
	Manifest  Manifest
	Program   []byte     // a static executable; must not be changed; nil if encrypted
	Encrypted *Encrypted // the program, if it is encrypted; else nil
	Arch      string     // machine that Program is for, as GOARCH
	Digest    Digest     // of an encrypted image: with the program as it is stored
	Signer    SignerID
}

// Encrypted is a program that only the holder of a key can read. Decrypt of
// package imagefile does, on whichever side of a TEE's boundary.
type Encrypted struct {
	KeyID      KeyID
	Size       int    // of the program, in bytes
	Ciphertext []byte // in the form that imagefile stores; must not be changed
}
