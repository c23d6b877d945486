package image

import (
	"encoding/hex"
	"fmt"
)

// Digest is the measurement of an image: SHA-256 over format version, manifest
// and program. See the layout in format.go.
type Digest [32]byte

// ParseDigest reads 64 hexadecimal digits.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	return d, d.UnmarshalText([]byte(s))
}

// String returns the digest in lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero tells whether d is the zero Digest, which no image has.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText returns the digest in lower-case hexadecimal.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads 64 hexadecimal digits.
func (d *Digest) UnmarshalText(text []byte) error {
	return unhex("image digest", (*[32]byte)(d), text)
}

// SignerID identifies who signed an image: SHA-256 of the public key's PKIX
// (SubjectPublicKeyInfo, RFC 5280) encoding in DER.
type SignerID [32]byte

// ParseSignerID reads 64 hexadecimal digits.
func ParseSignerID(s string) (SignerID, error) {
	var id SignerID
	return id, id.UnmarshalText([]byte(s))
}

// String returns the ID in lower-case hexadecimal.
func (id SignerID) String() string { return hex.EncodeToString(id[:]) }

// IsZero tells whether id is the zero SignerID, which no key has.
func (id SignerID) IsZero() bool { return id == SignerID{} }

// MarshalText returns the ID in lower-case hexadecimal.
func (id SignerID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads 64 hexadecimal digits.
func (id *SignerID) UnmarshalText(text []byte) error {
	return unhex("signer ID", (*[32]byte)(id), text)
}

// unhex sets dst to the bytes that text spells, and only if all is well.
func unhex(what string, dst *[32]byte, text []byte) error {
	var b [32]byte
	if len(text) != 2*len(b) {
		return fmt.Errorf("parsing %s: %d characters instead of %d hexadecimal digits", what, len(text), 2*len(b))
	}
	if _, err := hex.Decode(b[:], text); err != nil {
		return fmt.Errorf("parsing %s: %w", what, err)
	}
	*dst = b
	return nil
}
