package snp

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"

	"github.com/secgear/secgear/middleware/attest"
	"github.com/secgear/secgear/middleware/attest/internal/certs"
)

// Collateral is what endorses reports, as AMD's Key Distribution Service gives it out.
type Collateral struct {
	Certificate []byte // DER: of the chip's key (VCEK) or the cloud's (VLEK)
	Revocations []byte // DER: the root's list; nil: revocation is not looked at
}

// Verifier verifies reports of one endorsement key. It is safe for concurrent use.
type Verifier struct {
	key         *key
	revocations *x509.RevocationList
}

// NewVerifier verifies the signatures of the collateral, whose chain must end at an
// authority, [AMD] as a rule.
func NewVerifier(authorities func(product string, vlek bool) (Authorities, error), c Collateral) (*Verifier, error) {
	k, err := parseKey(c.Certificate, authorities)
	if err != nil {
		return nil, fmt.Errorf("verifying the endorsement key's certificate: %w", err)
	}
	v := &Verifier{key: k}
	if c.Revocations == nil {
		return v, nil
	}
	root := k.chain.Certs[len(k.chain.Certs)-1]
	if v.revocations, err = certs.ParseRevocations(c.Revocations, root); err != nil {
		return nil, fmt.Errorf("verifying the revocation list: %w", err)
	}
	return v, nil
}

// Verify verifies r as of the time at.
func (v *Verifier) Verify(r *Report, at time.Time) (*attest.Claims, attest.Checks) {
	var c attest.Checks
	c.Pass("key.chain", "chain of the endorsement key's certificate", v.key.chain.Leaf().Issuer.CommonName)
	c.Err("key.time", "time of the certificates", v.key.chain.Valid.Check(at))
	v.revoked(at, &c)
	c.Err("key.kind", "kind of key that signed", v.kind(r))
	v.chip(r, &c)
	v.tcb(r, &c)
	c.Err("report.signature", "signature of the report, by the endorsement key", verifySignature(v.key.public, r))
	if r.Migratable() && slices.ContainsFunc(r.AgentReportID[:], func(x byte) bool { return x != 0xff }) {
		c.Fail("report.agent", "migration", "no agent", hex.EncodeToString(r.AgentReportID[:]), "an agent can move the guest to machines that nobody has looked at")
	}
	return v.claims(r), c
}

// revoked notes whether the key's certificate, or its issuer's, was taken back.
func (v *Verifier) revoked(at time.Time, c *attest.Checks) {
	const id, subject = "key.revocation", "revocation of the certificates"
	if v.revocations == nil {
		c.Skip(id, subject, "there is no revocation list")
		return
	}
	err := certs.Window{From: v.revocations.ThisUpdate, Until: v.revocations.NextUpdate}.Check(at)
	for _, cert := range v.key.chain.Certs {
		if err == nil && certs.Revoked(v.revocations, cert.SerialNumber) {
			err = fmt.Errorf("certificate %q was revoked", cert.Subject.CommonName)
		}
	}
	c.Err(id, subject, err)
}

// kind returns an error unless the report says that it was signed by such a key.
func (v *Verifier) kind(r *Report) error {
	switch signer := r.signer(); {
	case signer == keyNone:
		return errors.New("the report was not signed")
	case signer > keyVLEK:
		return fmt.Errorf("key %d is unknown", signer)
	case (signer == keyVLEK) != v.key.vlek:
		return errors.New("the certificate is of the other kind")
	case !v.key.product.made(r):
		return fmt.Errorf("the report is of a processor of family %#x, model %#x, which is no %s", r.CPUID[0], r.CPUID[1], v.key.product.name)
	}
	return nil
}

// chip notes whether the report is of the chip that has the key.
func (v *Verifier) chip(r *Report, c *attest.Checks) {
	const id, subject = "key.chip", "chip"
	switch {
	case v.key.vlek:
		c.Pass(id, subject, "one of "+v.key.cloud)
	case r.Key&keyMaskChip != 0 || isZero(r.ChipID[:]):
		c.Skip(id, subject, "the machine hides the chip's id")
	default:
		whole := make([]byte, len(r.ChipID))
		copy(whole, v.key.chip)
		c.Equal(id, subject, whole, r.ChipID[:])
	}
}

// tcb notes whether the key is that of the TCB that the report tells.
func (v *Verifier) tcb(r *Report, c *attest.Checks) {
	reported := v.key.product.tcb(r.ReportedTCB)
	if maps.Equal(reported, v.key.reported()) {
		c.Pass("key.tcb", "TCB of the endorsement key", fmt.Sprintf("%016x", r.ReportedTCB))
		return
	}
	c.Fail("key.tcb", "TCB of the endorsement key", fmt.Sprint(v.key.reported()), fmt.Sprint(reported),
		"the certificate is for another version of the firmware: fetch the one for this")
}

// verifySignature verifies R and S, little-endian numbers of 72 bytes.
func verifySignature(key *ecdsa.PublicKey, r *Report) error {
	number := func(b []byte) *big.Int {
		b = bytes.Clone(b)
		slices.Reverse(b)
		return new(big.Int).SetBytes(b)
	}
	hash := sha512.Sum384(r.signed)
	if !ecdsa.Verify(key, hash[:], number(r.signature[:72]), number(r.signature[72:144])) {
		return errors.New("the signature is wrong")
	}
	return nil
}

// claims are what the report says.
func (v *Verifier) claims(r *Report) *attest.Claims {
	c := &attest.Claims{
		TEE: "sev-snp", SecurityVersion: uint64(r.GuestSVN), Debug: r.Debug(), ReportData: r.ReportData[:],
		Measurements: []attest.Measurement{
			{Name: "measurement", Value: r.Measurement[:]},
			{Name: "host_data", Value: r.HostData[:]},
			{Name: "family_id", Value: r.FamilyID[:]},
			{Name: "image_id", Value: r.ImageID[:]},
			{Name: "author_key", Value: r.AuthorKey[:]},
		},
		TCB: attest.TCB{Version: fmt.Sprintf("%016x", r.ReportedTCB), Components: v.key.product.tcb(r.ReportedTCB)},
		Platform: map[string]string{
			"product": v.key.product.name, "vmpl": fmt.Sprint(r.VMPL), "policy": fmt.Sprintf("%016x", r.Policy),
			"migratable": fmt.Sprint(r.Migratable()), "platform_info": fmt.Sprintf("%016x", r.Platform),
		},
	}
	if !isZero(r.IDKey[:]) {
		c.Signer = r.IDKey[:]
	}
	if v.key.vlek {
		c.Platform["cloud"] = v.key.cloud
	} else {
		c.Platform["chip_id"] = hex.EncodeToString(r.ChipID[:])
	}
	return c
}
