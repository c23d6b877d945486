package dcap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// window is a span of time, its ends included.
type window struct{ from, until time.Time }

// within narrows w to what it shares with another span.
func (w window) within(from, until time.Time) window {
	if w.from.Before(from) {
		w.from = from
	}
	if w.until.IsZero() || until.Before(w.until) {
		w.until = until
	}
	return w
}

// check returns an error unless t lies in w.
func (w window) check(t time.Time) error {
	if t.Before(w.from) || t.After(w.until) {
		return fmt.Errorf("valid from %s until %s, and not at %s", w.from.UTC().Format(time.RFC3339), w.until.UTC().Format(time.RFC3339), t.UTC().Format(time.RFC3339))
	}
	return nil
}

// chain is a chain of certificates whose signatures were verified, leaf first, up to
// the root.
type chain struct {
	certs []*x509.Certificate
	valid window
}

func (c *chain) leaf() *x509.Certificate { return c.certs[0] }

// maxChain is the longest that Intel's chains are.
const maxChain = 3

// parseChain parses PEM certificates, which must be in order.
func parseChain(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for text = bytes.TrimRight(text, "\x00\n\r "); len(text) > 0; text = bytes.TrimLeft(text, "\n\r ") {
		block, rest := pem.Decode(text)
		if block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
			return nil, errors.New("what should be certificates is not")
		}
		if len(certs) == maxChain {
			return nil, fmt.Errorf("more than %d certificates", maxChain)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs, text = append(certs, cert), rest
	}
	if len(certs) < 2 {
		return nil, fmt.Errorf("%d certificates are no chain", len(certs))
	}
	return certs, nil
}

// verifyChain verifies the signatures of a chain that must end at root, of which the
// key counts.
func verifyChain(certs []*x509.Certificate, root *x509.Certificate) (*chain, error) {
	last := certs[len(certs)-1]
	if !bytes.Equal(last.RawSubjectPublicKeyInfo, root.RawSubjectPublicKeyInfo) {
		return nil, fmt.Errorf("the chain ends at %q, whose key is not that of %q", last.Subject.CommonName, root.Subject.CommonName)
	}
	c := &chain{certs: certs}
	for i, cert := range certs {
		issuer := certs[min(i+1, len(certs)-1)]
		if !bytes.Equal(cert.RawIssuer, issuer.RawSubject) {
			return nil, fmt.Errorf("certificate %q is followed by %q, which did not issue it", cert.Subject.CommonName, issuer.Subject.CommonName)
		}
		if err := cert.CheckSignatureFrom(issuer); err != nil {
			return nil, fmt.Errorf("certificate %q by %q: %w", cert.Subject.CommonName, issuer.Subject.CommonName, err)
		}
		if len(cert.UnhandledCriticalExtensions) > 0 {
			return nil, fmt.Errorf("certificate %q has an unknown critical extension", cert.Subject.CommonName)
		}
		c.valid = c.valid.within(cert.NotBefore, cert.NotAfter)
	}
	return c, nil
}

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
