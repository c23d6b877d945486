// Package cose reads, writes, signs and verifies COSE_Sign1 messages (RFC 9052)
// as Nitro uses them: untagged, the payload inside, ECDSA on P-384 with SHA-384.
package cose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"
	"math/big"

	"github.com/secgear/secgear/sdk/tee/nitro/internal/cbor"
)

// ES384 is the algorithm's number, ECDSA with SHA-384 (RFC 9053, 2.1).
const ES384 = -35

// halfSize is the size of each of a signature's two numbers.
const halfSize = 48

// ErrSignature is matched when a signature is not that of the key.
var ErrSignature = errors.New("the signature is not right")

// Sign1 is a message:
//
//	[protected: bstr of {1: Algorithm}, unprotected: {}, payload: bstr, signature: bstr]
type Sign1 struct {
	Algorithm int64
	Payload   []byte
	Signature []byte
}

// Parse reads a message. Headers other than the algorithm are refused.
func Parse(b []byte) (*Sign1, error) {
	var s Sign1
	r := cbor.NewReader(b)
	if n := r.Array(); r.Err() == nil && n != 4 {
		return nil, fmt.Errorf("%w: COSE_Sign1 of %d items", cbor.ErrFormat, n)
	}
	protected := r.Bytes()
	if n := r.Map(); n != 0 {
		return nil, fmt.Errorf("%w: unprotected headers", cbor.ErrFormat)
	}
	s.Payload, s.Signature = r.Bytes(), r.Bytes()
	if err := r.End(); err != nil {
		return nil, err
	}
	r = cbor.NewReader(protected)
	if n, label := r.Map(), r.Uint(); n != 1 || label != 1 {
		return nil, fmt.Errorf("%w: protected headers other than the algorithm", cbor.ErrFormat)
	}
	s.Algorithm = r.Int()
	return &s, r.End()
}

// protected is the encoded protected header.
func (s *Sign1) protected() []byte {
	return cbor.AppendInt(append(cbor.AppendMap(nil, 1), 1), s.Algorithm)
}

// Encode returns the message.
func (s *Sign1) Encode() []byte {
	b := cbor.AppendArray(nil, 4)
	b = cbor.AppendBytes(b, s.protected())
	b = cbor.AppendMap(b, 0)
	b = cbor.AppendBytes(b, s.Payload)
	return cbor.AppendBytes(b, s.Signature)
}

// digest is what is signed (RFC 9052, 4.4), hashed.
func (s *Sign1) digest() []byte {
	b := cbor.AppendArray(nil, 4)
	b = cbor.AppendText(b, "Signature1")
	b = cbor.AppendBytes(b, s.protected())
	b = cbor.AppendBytes(b, nil)
	b = cbor.AppendBytes(b, s.Payload)
	d := sha512.Sum384(b)
	return d[:]
}

// Sign returns the message of payload by key, which is on P-384.
func Sign(payload []byte, key *ecdsa.PrivateKey) (*Sign1, error) {
	if key.Curve != elliptic.P384() {
		return nil, fmt.Errorf("signing: a key on %s, not on P-384: %w", key.Curve.Params().Name, errors.ErrUnsupported)
	}
	s := &Sign1{Algorithm: ES384, Payload: payload}
	x, y, err := ecdsa.Sign(rand.Reader, key, s.digest())
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	s.Signature = make([]byte, 2*halfSize)
	x.FillBytes(s.Signature[:halfSize])
	y.FillBytes(s.Signature[halfSize:])
	return s, nil
}

// Verify returns an error, matching [ErrSignature], unless the message was
// signed by key.
func (s *Sign1) Verify(key crypto.PublicKey) error {
	k, ok := key.(*ecdsa.PublicKey)
	switch {
	case !ok || k.Curve != elliptic.P384():
		return fmt.Errorf("%w: the key is not one on P-384", ErrSignature)
	case s.Algorithm != ES384:
		return fmt.Errorf("%w: algorithm %d instead of %d (ES384)", ErrSignature, s.Algorithm, ES384)
	case len(s.Signature) != 2*halfSize:
		return fmt.Errorf("%w: it has %d bytes instead of %d", ErrSignature, len(s.Signature), 2*halfSize)
	}
	x := new(big.Int).SetBytes(s.Signature[:halfSize])
	y := new(big.Int).SetBytes(s.Signature[halfSize:])
	if !ecdsa.Verify(k, s.digest(), x, y) {
		return ErrSignature
	}
	return nil
}
