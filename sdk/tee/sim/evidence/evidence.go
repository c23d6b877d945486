// Package evidence is the format of the simulation's evidence.
//
// It has the form of a TEE's evidence and none of its worth: whoever runs the
// machine can make any. It begins with the word SECGEAR-SIMULATION, so that
// nothing takes it for a hardware's, and a verifier must be asked for the
// simulation by name before it looks at it.
package evidence

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/secgear/secgear/sdk/image"
)

// Magic is how evidence of the simulation begins.
const Magic = "SECGEAR-SIMULATION"

// Size is the length of all evidence of the simulation.
const Size = sizeSigned + ed25519.SignatureSize

// Evidence says what ran in a simulated enclave of one machine.
type Evidence struct {
	Digest          image.Digest
	Signer          image.SignerID
	SecurityVersion uint32
	Debug           bool
	Name            string // as in the manifest, 1 to 64 bytes
	Data            [64]byte

	// Machine is the key that signed it. Only the name of a machine, unless the
	// verifier knew it before.
	Machine [ed25519.PublicKeySize]byte
}

var (
	// ErrFormat: the bytes are no evidence of the simulation.
	ErrFormat = errors.New("malformed simulation evidence")
	// ErrSignature: the signature was not made over this evidence by its key.
	ErrSignature = errors.New("signature of simulation evidence does not match")
)

// The layout; numbers are big-endian.
//
//	offset size
//	     0   18 "SECGEAR-SIMULATION"
//	    18    2 format version, 1
//	    20   32 image digest
//	    52   32 signer
//	    84    4 security version
//	    88    1 debug: 0 or 1
//	    89    1 length of the name, 1 to 64
//	    90   64 name, zero-padded
//	   154   64 data
//	   218   32 Ed25519 public key of the machine
//	   250   64 signature by that key over the bytes 0 to 249
const (
	version = 1

	atVersion  = len(Magic)
	atDigest   = atVersion + 2
	atSigner   = atDigest + 32
	atSecurity = atSigner + 32
	atDebug    = atSecurity + 4
	atNameLen  = atDebug + 1
	atName     = atNameLen + 1
	atData     = atName + maxName
	atMachine  = atData + 64
	sizeSigned = atMachine + ed25519.PublicKeySize

	maxName = 64
)

// Sign encodes e and signs it with key, whose public half replaces e.Machine.
func Sign(e Evidence, key ed25519.PrivateKey) ([]byte, error) {
	if len(e.Name) == 0 || len(e.Name) > maxName {
		return nil, fmt.Errorf("making simulation evidence: name of %d bytes, not 1 to %d", len(e.Name), maxName)
	}
	b := make([]byte, sizeSigned, Size)
	copy(b, Magic)
	binary.BigEndian.PutUint16(b[atVersion:], version)
	copy(b[atDigest:], e.Digest[:])
	copy(b[atSigner:], e.Signer[:])
	binary.BigEndian.PutUint32(b[atSecurity:], e.SecurityVersion)
	if e.Debug {
		b[atDebug] = 1
	}
	b[atNameLen] = byte(len(e.Name))
	copy(b[atName:], e.Name)
	copy(b[atData:], e.Data[:])
	copy(b[atMachine:], key[ed25519.SeedSize:])
	return append(b, ed25519.Sign(key, b)...), nil
}

// Verify reads evidence, which may be anything, and checks its signature. It
// says nothing about whose key signed it: compare Machine.
func Verify(b []byte) (*Evidence, error) {
	e, err := Parse(b)
	if err != nil {
		return nil, err
	}
	if !ed25519.Verify(e.Machine[:], b[:sizeSigned], b[sizeSigned:]) {
		return nil, ErrSignature
	}
	return e, nil
}

// Parse reads evidence, which may be anything, without checking its signature.
// Errors match [ErrFormat].
func Parse(b []byte) (*Evidence, error) {
	switch {
	case !bytes.HasPrefix(b, []byte(Magic)):
		return nil, fmt.Errorf("%w: it does not begin with %s", ErrFormat, Magic)
	case len(b) != Size:
		return nil, fmt.Errorf("%w: %d bytes instead of %d", ErrFormat, len(b), Size)
	case binary.BigEndian.Uint16(b[atVersion:]) != version:
		return nil, fmt.Errorf("%w: version %d is unknown", ErrFormat, binary.BigEndian.Uint16(b[atVersion:]))
	case b[atDebug] > 1:
		return nil, fmt.Errorf("%w: debug is neither 0 nor 1", ErrFormat)
	}
	n := int(b[atNameLen])
	if n == 0 || n > maxName {
		return nil, fmt.Errorf("%w: name of %d bytes", ErrFormat, n)
	}
	name, padding := b[atName:atName+n], b[atName+n:atData]
	if bytes.IndexByte(name, 0) >= 0 || len(bytes.Trim(padding, "\x00")) > 0 {
		return nil, fmt.Errorf("%w: name and padding are mixed up", ErrFormat)
	}
	return &Evidence{
		Digest:          image.Digest(b[atDigest:atSigner]),
		Signer:          image.SignerID(b[atSigner:atSecurity]),
		SecurityVersion: binary.BigEndian.Uint32(b[atSecurity:]),
		Debug:           b[atDebug] == 1,
		Name:            string(name),
		Data:            [64]byte(b[atData:atMachine]),
		Machine:         [32]byte(b[atMachine:sizeSigned]),
	}, nil
}
