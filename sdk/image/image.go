// Package image is the enclave image: one file that holds a program, its
// manifest, their digest and a signature.
package image

// Digest is the measurement of an image: SHA-256 over program and manifest.
type Digest [32]byte

// SignerID identifies who signed an image: SHA-256 of the public key's PKIX
// (SubjectPublicKeyInfo) encoding.
type SignerID [32]byte

// Manifest is what an image says about its program. It is signed with it.
type Manifest struct {
	Name            string   `json:"name"`                // identifies the program among its signer's
	SecurityVersion uint32   `json:"security_version"`    // raised with every security fix
	Debug           bool     `json:"debug"`               // may be inspected; never for production
	Memory          uint64   `json:"memory"`              // bytes the enclave may use, lanes excluded
	LaneMemory      uint64   `json:"lane_memory"`         // bytes that one lane may have at most
	Lanes           int      `json:"lanes"`               // attached processes at most
	Workers         int      `json:"workers"`             // handlers running at a time, per lane, at most
	Attach          []string `json:"attach,omitempty"`    // users that may attach: "uid:0", "gid:27", "owner"
	Services        []string `json:"services,omitempty"`  // host services (OCALL contracts) the enclave may call
}

// Image is a verified enclave image.
type Image struct {
	Manifest Manifest
	Program  []byte // a static executable
	Digest   Digest
	Signer   SignerID
}
