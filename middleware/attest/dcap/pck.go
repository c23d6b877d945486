package dcap

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

// pck is what a PCK certificate says of its platform.
type pck struct {
	components [16]uint8
	pceSVN     uint16
	pceID      [2]byte
	fmspc      [6]byte
}

// Object identifiers of the PCK certificate's extension (PCK Certificate and CRL
// Profile, section 1.3.5).
var (
	oidSGX   = asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}
	oidTCB   = asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1, 2}
	oidPCEID = asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1, 3}
	oidFMSPC = asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1, 4}
)

// pceSVNIndex is the last arc of the PCESVN's identifier below oidTCB; the sixteen
// components are those before.
const pceSVNIndex = 17

type field struct {
	ID    asn1.ObjectIdentifier
	Value asn1.RawValue
}

// parsePCK reads the extension of a PCK certificate.
func parsePCK(cert *x509.Certificate) (*pck, error) {
	for _, e := range cert.Extensions {
		if !e.Id.Equal(oidSGX) {
			continue
		}
		p, err := parsePCKExtension(e.Value)
		if err != nil {
			return nil, fmt.Errorf("the PCK certificate's SGX extension: %w", err)
		}
		return p, nil
	}
	return nil, errors.New("the certificate is no PCK certificate: it has no SGX extension")
}

func parsePCKExtension(der []byte) (*pck, error) {
	var fields []field
	if err := unmarshal(der, &fields); err != nil {
		return nil, err
	}
	p := &pck{}
	seen := 0
	for _, f := range fields {
		var err error
		switch {
		case f.ID.Equal(oidTCB):
			err = p.parseTCB(f.Value.FullBytes)
		case f.ID.Equal(oidPCEID):
			err = octets(f.Value.FullBytes, p.pceID[:])
		case f.ID.Equal(oidFMSPC):
			err = octets(f.Value.FullBytes, p.fmspc[:])
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		seen++
	}
	if seen != 3 {
		return nil, errors.New("TCB, PCE-ID and FMSPC must be there once each")
	}
	return p, nil
}

// parseTCB reads the sixteen components and PCESVN.
func (p *pck) parseTCB(der []byte) error {
	var fields []field
	if err := unmarshal(der, &fields); err != nil {
		return err
	}
	var seen [pceSVNIndex + 1]bool
	for _, f := range fields {
		if len(f.ID) != len(oidTCB)+1 || !f.ID[:len(oidTCB)].Equal(oidTCB) {
			continue
		}
		i := f.ID[len(oidTCB)]
		if i < 1 || i > pceSVNIndex {
			continue // CPUSVN, which says the same
		}
		var v int
		if err := unmarshal(f.Value.FullBytes, &v); err != nil {
			return err
		}
		if seen[i] || v < 0 || v > 0xffff || i < pceSVNIndex && v > 0xff {
			return fmt.Errorf("component %d of the TCB is %d, or there twice", i, v)
		}
		seen[i] = true
		if i == pceSVNIndex {
			p.pceSVN = uint16(v)
		} else {
			p.components[i-1] = uint8(v)
		}
	}
	for i := 1; i <= pceSVNIndex; i++ {
		if !seen[i] {
			return fmt.Errorf("component %d of the TCB is missing", i)
		}
	}
	return nil
}

// unmarshal parses DER that nothing follows.
func unmarshal(der []byte, v any) error {
	rest, err := asn1.Unmarshal(der, v)
	if err == nil && len(rest) > 0 {
		err = errors.New("bytes follow the value")
	}
	return err
}

// octets reads an octet string of exactly len(to) bytes.
func octets(der, to []byte) error {
	var v []byte
	if err := unmarshal(der, &v); err != nil {
		return err
	}
	if len(v) != len(to) {
		return fmt.Errorf("%d bytes instead of %d", len(v), len(to))
	}
	copy(to, v)
	return nil
}

// verifyECDSA verifies a signature of two 32-byte numbers over the SHA-256 of msg.
func verifyECDSA(key *ecdsa.PublicKey, msg []byte, sig [64]byte) error {
	hash := sha256.Sum256(msg)
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	if !ecdsa.Verify(key, hash[:], r, s) {
		return errors.New("the signature is wrong")
	}
	return nil
}

// point makes a P-256 key of two 32-byte coordinates.
func point(b [64]byte) (*ecdsa.PublicKey, error) {
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, b[:]...))
}

// p256 returns a certificate's key.
func p256(cert *x509.Certificate) (*ecdsa.PublicKey, error) {
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("the key of %q is no ECDSA P-256 key", cert.Subject.CommonName)
	}
	return key, nil
}
