// Package certs verifies chains of certificates apart from time, so that a chain can be
// verified once and its time be looked at as often as it is used.
package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Window is a span of time, its ends included.
type Window struct{ From, Until time.Time }

// Within narrows w to what it shares with another span.
func (w Window) Within(from, until time.Time) Window {
	if w.From.Before(from) {
		w.From = from
	}
	if w.Until.IsZero() || until.Before(w.Until) {
		w.Until = until
	}
	return w
}

// Check returns an error unless t lies in w.
func (w Window) Check(t time.Time) error {
	if t.Before(w.From) || t.After(w.Until) {
		return fmt.Errorf("valid from %s until %s, and not at %s", w.From.UTC().Format(time.RFC3339), w.Until.UTC().Format(time.RFC3339), t.UTC().Format(time.RFC3339))
	}
	return nil
}

// Chain is a chain of certificates whose signatures were verified, leaf first, up to
// the root.
type Chain struct {
	Certs []*x509.Certificate
	Valid Window
}

// Leaf is the first certificate.
func (c *Chain) Leaf() *x509.Certificate { return c.Certs[0] }

// Max is how many certificates the longest chain has that is read.
const Max = 3

// Parse parses PEM certificates, which must be in order: two at least.
func Parse(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for text = bytes.TrimRight(text, "\x00\n\r "); len(text) > 0; text = bytes.TrimLeft(text, "\n\r ") {
		block, rest := pem.Decode(text)
		if block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
			return nil, errors.New("what should be certificates is not")
		}
		if len(certs) == Max {
			return nil, fmt.Errorf("more than %d certificates", Max)
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

// Verify verifies the signatures of a chain that must end at root, of which the
// key counts.
func Verify(certs []*x509.Certificate, root *x509.Certificate) (*Chain, error) {
	last := certs[len(certs)-1]
	if !bytes.Equal(last.RawSubjectPublicKeyInfo, root.RawSubjectPublicKeyInfo) {
		return nil, fmt.Errorf("the chain ends at %q, whose key is not that of %q", last.Subject.CommonName, root.Subject.CommonName)
	}
	c := &Chain{Certs: certs}
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
		c.Valid = c.Valid.Within(cert.NotBefore, cert.NotAfter)
	}
	return c, nil
}

// Revoked tells whether list has the certificate with that serial number.
func Revoked(list *x509.RevocationList, serial *big.Int) bool {
	for i := range list.RevokedCertificateEntries {
		if list.RevokedCertificateEntries[i].SerialNumber.Cmp(serial) == 0 {
			return true
		}
	}
	return false
}

// ParseRevocations reads a revocation list, which issuer must have signed.
func ParseRevocations(der []byte, issuer *x509.Certificate) (*x509.RevocationList, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(list.RawIssuer, issuer.RawSubject) {
		return nil, fmt.Errorf("it is by %q, not by %q", list.Issuer.CommonName, issuer.Subject.CommonName)
	}
	if err := list.CheckSignatureFrom(issuer); err != nil {
		return nil, err
	}
	if list.NextUpdate.IsZero() {
		return nil, errors.New("it does not say until when it is valid")
	}
	return list, nil
}
