// Package reference holds reference values (RFC 9334): what a TEE's evidence has
// to say if a certain image was launched in a certain way. They are computed from
// the image and from what is launched with it, without running anything, so that
// a relying party has them before the first enclave starts.
//
// Package ovmf reads the firmware that virtual machines start with, package snp
// computes the launch digest of SEV-SNP, package tdx the registers of TDX. Where
// something is measured step by step, [Register] replays the steps.
//
// Nothing here trusts its input further than that the values follow from it:
// whoever relies on a value has to know whose firmware and kernel it was made of.
// That is why a [Set] names the digest of each.
package reference

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Set is all that can be said beforehand of one launch.
type Set struct {
	TEE    string   `json:"tee"` // "sev-snp", "tdx", "tpm", "nitro"
	Values []Value  `json:"values"`
	Absent []Absent `json:"absent,omitempty"` // in the evidence, but not known beforehand
	Inputs []Input  `json:"inputs"`
}

// Value is what one field or register of the evidence has to hold.
type Value struct {
	Name      string `json:"name"`      // as the TEE's specification calls it: "MRTD", "PCR0"
	Algorithm string `json:"algorithm"` // "sha256", "sha384"
	Value     Bytes  `json:"value"`
}

// Absent is a field or register of the evidence that depends on something else
// than the inputs.
type Absent struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// Input is something that the values were computed from: a file's digest, or an
// option with its value.
type Input struct {
	Name   string `json:"name"` // "firmware", "command line"
	Value  string `json:"value,omitempty"`
	SHA256 Bytes  `json:"sha256,omitempty"`
	Size   int    `json:"size,omitempty"` // bytes
}

// FileInput is the Input for the content of a file.
func FileInput(name string, content []byte) Input {
	sum := sha256.Sum256(content)
	return Input{Name: name, SHA256: sum[:], Size: len(content)}
}

// Bytes are written in lower-case hexadecimal.
type Bytes []byte

// String returns b in lower-case hexadecimal.
func (b Bytes) String() string { return hex.EncodeToString(b) }

// MarshalText returns b in lower-case hexadecimal.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads hexadecimal digits.
func (b *Bytes) UnmarshalText(text []byte) error {
	out := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(out, text); err != nil {
		return fmt.Errorf("parsing reference value: %w", err)
	}
	*b = out
	return nil
}
