package measured

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
)

// Quoted is what a verified quote says.
type Quoted struct {
	// Key is the public key that signed, *ecdsa.PublicKey or *rsa.PublicKey.
	Key crypto.PublicKey
	// Name is the TPM's name of the key: its algorithm and hash.
	Name []byte
	// PCRs are the registers that were signed.
	PCRs map[int][32]byte
	// Resets is how often the TPM was reset, Restarts how often it was resumed
	// since; both are part of the TPM's clock.
	Resets, Restarts uint32
	// Firmware is the version of the TPM's own.
	Firmware uint64
}

// Verify checks that the quote was signed, over nonce and the register values
// given, by the key given, and that this is a key that signs nothing but what
// the TPM itself says. Errors match [ErrMismatch] or [ErrFormat].
func (q *Quote) Verify(nonce []byte) (*Quoted, error) {
	key, err := parsePublic(q.Public)
	if err != nil {
		return nil, fmt.Errorf("key of the quote: %w", err)
	}
	if err := verifySignature(key, q.Signature, q.Attest); err != nil {
		return nil, fmt.Errorf("signature of the quote: %w", err)
	}
	a, err := parseAttest(q.Attest)
	if err != nil {
		return nil, fmt.Errorf("content of the quote: %w", err)
	}
	if !bytes.Equal(a.extra, nonce) {
		return nil, fmt.Errorf("%w: the quote is over another nonce", ErrMismatch)
	}
	quoted := &Quoted{
		Key: key, Name: append([]byte{0, byte(SHA256)}, SHA256.Sum(q.Public)...),
		PCRs: map[int][32]byte{}, Resets: a.resets, Restarts: a.restarts, Firmware: a.firmware,
	}
	h := sha256.New()
	for i, p := range q.PCRs {
		if i >= len(a.pcrs) || a.pcrs[i] != p.Index {
			return nil, fmt.Errorf("%w: the quote is over the registers %v", ErrMismatch, a.pcrs)
		}
		h.Write(p.Value[:])
		quoted.PCRs[p.Index] = p.Value
	}
	if len(q.PCRs) != len(a.pcrs) || !bytes.Equal(h.Sum(nil), a.digest) {
		return nil, fmt.Errorf("%w: the quote is over other values of the registers", ErrMismatch)
	}
	return quoted, nil
}

// Numbers of the TPM 2.0 Library Specification, Part 2.
const (
	tpmGenerated   = 0xff544347
	tpmAttestQuote = 0x8018

	algRSA    = 0x0001
	algNull   = 0x0010
	algRSASSA = 0x0014
	algRSAPSS = 0x0016
	algECDSA  = 0x0018
	algECC    = 0x0023

	curveP256 = 0x0003

	attrFixedTPM   = 1 << 1
	attrRestricted = 1 << 16
	attrDecrypt    = 1 << 17
	attrSign       = 1 << 18
)

// attest is a TPMS_ATTEST of a quote (Part 2, 10.12.12).
type attest struct {
	extra            []byte
	resets, restarts uint32
	firmware         uint64
	pcrs             []int // of the one selection, SHA-256
	digest           []byte
}

func parseAttest(b []byte) (*attest, error) {
	r := &reader{rest: b, order: binary.BigEndian}
	r.want("magic", r.u32("magic"), tpmGenerated)
	r.want("type", uint32(r.u16("type")), tpmAttestQuote)
	r.sized("signer's name", 68)
	a := &attest{extra: r.sized("nonce", 66)}
	r.bytes("clock", 8)
	a.resets, a.restarts = r.u32("resets"), r.u32("restarts")
	r.u8("safe")
	a.firmware = uint64(r.u32("firmware"))<<32 | uint64(r.u32("firmware"))
	r.want("number of selections", r.u32("number of selections"), 1)
	r.want("selected bank", uint32(r.u16("bank")), uint32(SHA256))
	for i, bits := range r.bytes("selection", int(r.u8("size of selection"))) {
		for bit := range 8 {
			if bits>>bit&1 == 1 {
				a.pcrs = append(a.pcrs, 8*i+bit)
			}
		}
	}
	a.digest = r.sized("digest", 32)
	return a, r.end()
}

// parsePublic reads a TPMT_PUBLIC (Part 2, 12.2.4) of a restricted signing key
// that never leaves its TPM: ECDSA with P-256, or RSA with at least 2048 bits,
// both with SHA-256.
func parsePublic(b []byte) (crypto.PublicKey, error) {
	r := &reader{rest: b, order: binary.BigEndian}
	kind := r.u16("type")
	r.want("name's algorithm", uint32(r.u16("name's algorithm")), uint32(SHA256))
	attributes := r.u32("attributes")
	const want = attrFixedTPM | attrRestricted | attrSign
	if r.err == nil && (attributes&want != want || attributes&attrDecrypt != 0) {
		r.fail("attributes %#x: not a restricted signing key of one TPM", attributes)
	}
	r.sized("policy", 32)
	r.want("symmetric algorithm", uint32(r.u16("symmetric algorithm")), algNull)
	scheme := r.u16("scheme")
	r.want("scheme's hash", uint32(r.u16("scheme's hash")), uint32(SHA256))
	var key crypto.PublicKey
	switch {
	case kind == algECC && scheme == algECDSA:
		key = parseECC(r)
	case kind == algRSA && (scheme == algRSASSA || scheme == algRSAPSS):
		key = parseRSA(r)
	default:
		r.fail("key of type %#x with scheme %#x", kind, scheme)
	}
	return key, r.end()
}

func parseECC(r *reader) crypto.PublicKey {
	r.want("curve", uint32(r.u16("curve")), curveP256)
	r.want("key derivation", uint32(r.u16("key derivation")), algNull)
	x, y := r.sized("x", 32), r.sized("y", 32)
	if r.err != nil {
		return nil
	}
	point := make([]byte, 65)
	point[0] = 4
	copy(point[33-len(x):33], x)
	copy(point[65-len(y):], y)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		r.fail("public key: %v", err)
		return nil
	}
	return key
}

func parseRSA(r *reader) crypto.PublicKey {
	bits := int(r.u16("bits"))
	exponent := r.u32("exponent")
	if exponent == 0 {
		exponent = 65537
	}
	n := new(big.Int).SetBytes(r.sized("modulus", 512))
	if r.err == nil && (bits < 2048 || n.BitLen() != bits || exponent != 65537) {
		r.fail("RSA key of %d bits, said to be %d, exponent %d", n.BitLen(), bits, exponent)
	}
	return &rsa.PublicKey{N: n, E: int(exponent)}
}

// verifySignature checks a TPMT_SIGNATURE (Part 2, 11.3.4) over message.
func verifySignature(key crypto.PublicKey, signature, message []byte) error {
	r := &reader{rest: signature, order: binary.BigEndian}
	scheme := r.u16("scheme")
	r.want("hash", uint32(r.u16("hash")), uint32(SHA256))
	digest := sha256.Sum256(message)
	var valid bool
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		r.want("scheme", uint32(scheme), algECDSA)
		x, y := new(big.Int).SetBytes(r.sized("r", 32)), new(big.Int).SetBytes(r.sized("s", 32))
		valid = r.err == nil && ecdsa.Verify(key, digest[:], x, y)
	case *rsa.PublicKey:
		sig := r.sized("signature", 512)
		switch {
		case r.err != nil:
		case scheme == algRSASSA:
			valid = rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], sig) == nil
		case scheme == algRSAPSS:
			valid = rsa.VerifyPSS(key, crypto.SHA256, digest[:], sig, nil) == nil
		}
	}
	if err := r.end(); err != nil {
		return err
	}
	if !valid {
		return fmt.Errorf("%w: it is not by this key", ErrMismatch)
	}
	return nil
}
