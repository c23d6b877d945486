package dcap

import (
	"bytes"
	"crypto/x509"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/secgear/secgear/middleware/attest/internal/certs"
)

//go:embed intel_root.pem
var intelRoot []byte // Intel SGX Root CA, as published by Intel's Provisioning Certification Service

// IntelRoot returns the certificate that all of Intel's chains end at.
func IntelRoot() *x509.Certificate {
	block, _ := pem.Decode(intelRoot)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		panic("dcap: the embedded root certificate is broken: " + err.Error())
	}
	return cert
}

// Collateral is what endorses quotes of one kind of platform, as Intel's
// Provisioning Certification Service (API version 4) gives it out. Nothing of it has
// been verified.
type Collateral struct {
	PCKCRLIssuerChain     string `json:"pck_crl_issuer_chain"` // PEM
	RootCACRL             string `json:"root_ca_crl"`          // DER in hexadecimal digits
	PCKCRL                string `json:"pck_crl"`              // likewise
	TCBInfoIssuerChain    string `json:"tcb_info_issuer_chain"`
	TCBInfo               string `json:"tcb_info"` // the JSON that is signed, byte by byte
	TCBInfoSignature      string `json:"tcb_info_signature"`
	QEIdentityIssuerChain string `json:"qe_identity_issuer_chain"`
	QEIdentity            string `json:"qe_identity"`
	QEIdentitySignature   string `json:"qe_identity_signature"`
}

// maxCollateral bounds the JSON of collateral.
const maxCollateral = 8 << 20

// ParseCollateral reads collateral from its JSON form.
func ParseCollateral(b []byte) (*Collateral, error) {
	if len(b) > maxCollateral {
		return nil, fmt.Errorf("reading collateral: %d bytes, at most %d are read", len(b), maxCollateral)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	c := new(Collateral)
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("reading collateral: %w", err)
	}
	if d.More() {
		return nil, errors.New("reading collateral: something follows it")
	}
	return c, nil
}

// endorsements are collateral whose signatures were verified.
type endorsements struct {
	tcb       *tcbInfo
	tcbTime   certs.Window
	qe        *qeIdentity
	qeTime    certs.Window
	rootCRL   *x509.RevocationList
	pckCRL    *x509.RevocationList
	crlIssuer *x509.Certificate // of pckCRL
	signers   []*certs.Chain    // of all that
}

// verify verifies the collateral's signatures.
func (c *Collateral) verify(root *x509.Certificate) (*endorsements, error) {
	e := new(endorsements)
	var err error
	if e.rootCRL, err = parseCRL(c.RootCACRL, root); err != nil {
		return nil, fmt.Errorf("the root's revocation list: %w", err)
	}
	issuers, err := e.chain(c.PCKCRLIssuerChain, root)
	if err != nil {
		return nil, fmt.Errorf("the chain of the PCK revocation list: %w", err)
	}
	e.crlIssuer = issuers.Leaf()
	if e.pckCRL, err = parseCRL(c.PCKCRL, e.crlIssuer); err != nil {
		return nil, fmt.Errorf("the PCK revocation list: %w", err)
	}
	e.tcb = new(tcbInfo)
	if e.tcbTime, err = e.signed(c.TCBInfoIssuerChain, c.TCBInfo, c.TCBInfoSignature, root, e.tcb); err != nil {
		return nil, fmt.Errorf("the TCB info: %w", err)
	}
	e.qe = new(qeIdentity)
	if e.qeTime, err = e.signed(c.QEIdentityIssuerChain, c.QEIdentity, c.QEIdentitySignature, root, e.qe); err != nil {
		return nil, fmt.Errorf("the QE identity: %w", err)
	}
	return e, nil
}

// chain verifies the chain of one of the signers.
func (e *endorsements) chain(text string, root *x509.Certificate) (*certs.Chain, error) {
	list, err := certs.Parse([]byte(text))
	if err != nil {
		return nil, err
	}
	c, err := certs.Verify(list, root)
	if err != nil {
		return nil, err
	}
	e.signers = append(e.signers, c)
	return c, nil
}

// tcbSigner is the name of the certificate that signs TCB info and QE identities.
const tcbSigner = "Intel SGX TCB Signing"

// signed verifies a signed JSON text and reads it into v. It returns when it is valid.
func (e *endorsements) signed(chain, text, signature string, root *x509.Certificate, v dated) (certs.Window, error) {
	c, err := e.chain(chain, root)
	if err != nil {
		return certs.Window{}, err
	}
	if name := c.Leaf().Subject.CommonName; name != tcbSigner || len(c.Certs) != 2 {
		return certs.Window{}, fmt.Errorf("%q does not sign that", name)
	}
	key, err := p256(c.Leaf())
	if err != nil {
		return certs.Window{}, err
	}
	var sig [64]byte
	if n, err := hex.Decode(sig[:], []byte(signature[:min(len(signature), 128)])); err != nil || n != 64 || len(signature) != 128 {
		return certs.Window{}, errors.New("its signature is not one of 64 bytes")
	}
	if err := verifyECDSA(key, []byte(text), sig); err != nil {
		return certs.Window{}, err
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return certs.Window{}, err
	}
	if err := v.check(); err != nil {
		return certs.Window{}, err
	}
	from, until := v.dates()
	if from.IsZero() || !from.Before(until) {
		return certs.Window{}, errors.New("it does not say from when until when it is valid")
	}
	return certs.Window{From: from, Until: until}, nil
}

// dated is one of the two signed texts.
type dated interface {
	dates() (issued, next time.Time)
	check() error
}

// parseCRL reads a revocation list in hexadecimal digits, which issuer must have signed.
func parseCRL(text string, issuer *x509.Certificate) (*x509.RevocationList, error) {
	der, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, err
	}
	return certs.ParseRevocations(der, issuer)
}

// checkTimes returns an error unless all of it is valid at t, and nobody who signed it
// was taken back.
func (e *endorsements) checkTimes(t time.Time) error {
	for what, w := range map[string]certs.Window{
		"TCB info": e.tcbTime, "QE identity": e.qeTime,
		"root's revocation list": {From: e.rootCRL.ThisUpdate, Until: e.rootCRL.NextUpdate},
		"PCK revocation list":    {From: e.pckCRL.ThisUpdate, Until: e.pckCRL.NextUpdate},
	} {
		if err := w.Check(t); err != nil {
			return fmt.Errorf("the %s is %w; fetch newer collateral, or verify as of another time", what, err)
		}
	}
	for _, c := range e.signers {
		if err := c.Valid.Check(t); err != nil {
			return fmt.Errorf("the chain of %q is %w", c.Leaf().Subject.CommonName, err)
		}
		for _, cert := range c.Certs {
			if certs.Revoked(e.rootCRL, cert.SerialNumber) {
				return fmt.Errorf("certificate %q was revoked", cert.Subject.CommonName)
			}
		}
	}
	return nil
}
