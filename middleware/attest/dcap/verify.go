package dcap

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/secgear/secgear/middleware/attest"
	"github.com/secgear/secgear/middleware/attest/internal/certs"
)

// Verifier verifies quotes against collateral. It is safe for concurrent use.
type Verifier struct {
	root     *x509.Certificate
	endorsed *endorsements // nil: none, see missing
	missing  error
	recent   atomic.Pointer[verifiedChain]
}

// verifiedChain is the chain that was verified last: quotes of one platform bring the
// same one.
type verifiedChain struct {
	pem   []byte
	chain *certs.Chain
	pck   *pck
}

// NewVerifier makes a verifier that trusts root, [IntelRoot] as a rule, and verifies
// the collateral's signatures. With c nil, what needs collateral is skipped, and so no
// quote is trusted.
func NewVerifier(root *x509.Certificate, c *Collateral) (*Verifier, error) {
	v := &Verifier{root: root}
	if c == nil {
		v.missing = fmt.Errorf("there is no collateral")
		return v, nil
	}
	var err error
	if v.endorsed, err = c.verify(root); err != nil {
		return nil, fmt.Errorf("verifying collateral: %w", err)
	}
	return v, nil
}

// Verify verifies q as of the time at.
func (v *Verifier) Verify(q *Quote, at time.Time) (*attest.Claims, attest.Checks) {
	var k attest.Checks
	claims := q.claims()
	link := v.certified(q, at, &k)
	if link != nil {
		v.quoted(q, link, &k)
		v.appraised(q, link.pck, claims, at, &k)
	}
	q.sane(&k)
	return claims, k
}

// certified verifies the PCK's chain.
func (v *Verifier) certified(q *Quote, at time.Time, k *attest.Checks) *verifiedChain {
	link, err := v.pckChain(q.chain)
	if !k.Err("pck.chain", "chain of the platform's certificate (PCK)", err) {
		return nil
	}
	k.Err("pck.time", "time of the platform's certificates", link.chain.Valid.Check(at))
	if v.endorsed == nil {
		k.Skip("pck.revocation", "revocation of the platform's certificates", v.missing.Error())
		return link
	}
	k.Err("pck.revocation", "revocation of the platform's certificates", v.endorsed.checkRevoked(link.chain))
	return link
}

// pckChain parses and verifies a chain of certificates, unless it is the last one's.
func (v *Verifier) pckChain(text []byte) (*verifiedChain, error) {
	if last := v.recent.Load(); last != nil && bytes.Equal(last.pem, text) {
		return last, nil
	}
	list, err := certs.Parse(text)
	if err != nil {
		return nil, err
	}
	c, err := certs.Verify(list, v.root)
	if err != nil {
		return nil, err
	}
	if len(list) != certs.Max || c.Leaf().IsCA {
		return nil, fmt.Errorf("the chain of %q is not one of platform, CA and root", c.Leaf().Subject.CommonName)
	}
	p, err := parsePCK(c.Leaf())
	if err != nil {
		return nil, err
	}
	link := &verifiedChain{bytes.Clone(text), c, p}
	v.recent.Store(link)
	return link, nil
}

// checkRevoked returns an error if one of the certificates was taken back, or nobody
// says whether.
func (e *endorsements) checkRevoked(c *certs.Chain) error {
	ca := c.Certs[1]
	if !bytes.Equal(ca.RawSubjectPublicKeyInfo, e.crlIssuer.RawSubjectPublicKeyInfo) {
		return fmt.Errorf("the PCK revocation list is by %q, the certificate by %q: fetch the collateral for that one", e.crlIssuer.Subject.CommonName, ca.Subject.CommonName)
	}
	if certs.Revoked(e.pckCRL, c.Leaf().SerialNumber) {
		return fmt.Errorf("the platform's certificate, serial number %x, was revoked", c.Leaf().SerialNumber)
	}
	for _, cert := range c.Certs[1:] {
		if certs.Revoked(e.rootCRL, cert.SerialNumber) {
			return fmt.Errorf("certificate %q was revoked", cert.Subject.CommonName)
		}
	}
	return nil
}

// quoted verifies that the quoting enclave made the attestation key and the key the
// quote.
func (v *Verifier) quoted(q *Quote, link *verifiedChain, k *attest.Checks) {
	key, err := p256(link.chain.Leaf())
	if err == nil {
		err = verifyECDSA(key, q.qeReport, q.qeSigned)
	}
	k.Err("qe.signature", "signature of the quoting enclave's report, by the platform", err)
	made := sha256.Sum256(slices.Concat(q.key[:], q.qeAuth))
	var want [64]byte
	copy(want[:], made[:])
	report := parseSGX(q.qeReport)
	k.Equal("qe.key", "attestation key in the quoting enclave's report", want[:], report.ReportData[:])
	attestationKey, err := point(q.key)
	if err == nil {
		err = verifyECDSA(attestationKey, q.signed, q.signature)
	}
	k.Err("quote.signature", "signature of the quote, by the attestation key", err)
}

// appraised holds platform and quoting enclave against the collateral.
func (v *Verifier) appraised(q *Quote, p *pck, claims *attest.Claims, at time.Time, k *attest.Checks) {
	claims.Platform = map[string]string{"fmspc": hex.EncodeToString(p.fmspc[:])}
	claims.TCB.Version = fmt.Sprintf("%x pce %d", p.components, p.pceSVN)
	if v.endorsed == nil {
		k.Skip("collateral", "state of platform and quoting enclave", v.missing.Error())
		return
	}
	k.Err("collateral.time", "time and signers of the collateral", v.endorsed.checkTimes(at))
	v.endorsed.platform(q, p, claims, k)
	if l := v.endorsed.quotingEnclave(q, k); l != nil {
		add(&claims.TCB, l)
	} else {
		claims.TCB.Status = "" // without it, nobody can say
	}
}

// add makes t the state of what it was together with a part whose level is l.
func add(t *attest.TCB, l *level) {
	if t.Status == "" {
		return
	}
	t.Status = converge(t.Status, l.Status)
	if l.Date.Before(t.Date) {
		t.Date = l.Date
	}
	for _, a := range l.Advisories {
		if !slices.Contains(t.Advisories, a) {
			t.Advisories = append(t.Advisories, a)
		}
	}
	slices.Sort(t.Advisories)
}

// platform finds the platform's state, and notes it in the claims.
func (e *endorsements) platform(q *Quote, p *pck, claims *attest.Claims, k *attest.Checks) {
	const id, subject = "tcb.level", "state of the platform"
	if kind := map[bool]string{true: "TDX", false: "SGX"}[q.TDX != nil]; e.tcb.ID != kind {
		k.Fail("tcb.platform", "platform that the collateral is about", kind, e.tcb.ID, "it is the collateral for the other kind of TEE")
		return
	}
	if !bytes.Equal(e.tcb.FMSPC, p.fmspc[:]) || !bytes.Equal(e.tcb.PCEID, p.pceID[:]) {
		k.Fail("tcb.platform", "platform that the collateral is about", fmt.Sprintf("%x %x", p.fmspc, p.pceID),
			fmt.Sprintf("%x %x", []byte(e.tcb.FMSPC), []byte(e.tcb.PCEID)), "it is the collateral for other platforms")
		return
	}
	k.Pass("tcb.platform", "platform that the collateral is about", fmt.Sprintf("%x %x", p.fmspc, p.pceID))
	l, err := e.tcb.platformLevel(p, q.TDX)
	if err != nil {
		k.Fail(id, subject, "", claims.TCB.Version, err.Error())
		return
	}
	k.Pass(id, subject, l.Status)
	claims.TCB.Status, claims.TCB.Date, claims.TCB.Advisories = l.Status, l.Date, slices.Clone(l.Advisories)
	if q.TDX != nil {
		e.tdxModule(q.TDX, claims, k)
	}
}

// tdxModule holds the TDX module against the collateral.
func (e *endorsements) tdxModule(r *TDXReport, claims *attest.Claims, k *attest.Checks) {
	m, l, err := e.tcb.module(r)
	if err == nil {
		err = m.check(r)
	}
	if !k.Err("tdx.module", "TDX module", err) {
		claims.TCB.Status = ""
		return
	}
	if l != nil {
		add(&claims.TCB, l)
	}
}

// quotingEnclave holds the quoting enclave against the collateral, and returns its
// level, or nil.
func (e *endorsements) quotingEnclave(q *Quote, k *attest.Checks) *level {
	if want := map[bool]string{true: "TD_QE", false: "QE"}[q.TDX != nil]; e.qe.ID != want {
		k.Fail("qe.identity", "quoting enclave", want, e.qe.ID, "it is the identity of the other quoting enclave")
		return nil
	}
	report := parseSGX(q.qeReport)
	if !k.Err("qe.identity", "quoting enclave", e.qe.describes(report)) {
		return nil
	}
	l, err := svnLevel(e.qe.Levels, report.SVN)
	if err != nil {
		k.Fail("qe.level", "state of the quoting enclave", "", fmt.Sprint(report.SVN), err.Error())
		return nil
	}
	k.Pass("qe.level", "state of the quoting enclave", l.Status)
	return l
}

// describes returns an error unless r is the report of the quoting enclave that q is
// about.
func (q *qeIdentity) describes(r *SGXReport) error {
	var misc [4]byte
	binary.LittleEndian.PutUint32(misc[:], r.MiscSelect)
	switch {
	case !bytes.Equal(q.MRSigner, r.MRSigner[:]):
		return fmt.Errorf("signed by %x, not by %x", r.MRSigner, []byte(q.MRSigner))
	case q.ProdID != r.ProdID:
		return fmt.Errorf("product %d instead of %d", r.ProdID, q.ProdID)
	case !masked(misc[:], q.MiscMask, q.MiscSelect):
		return fmt.Errorf("MISCSELECT %x, want %x under mask %x", misc, []byte(q.MiscSelect), []byte(q.MiscMask))
	case !masked(r.Attributes[:], q.Mask, q.Attributes):
		return fmt.Errorf("attributes %x, want %x under mask %x", r.Attributes, []byte(q.Attributes), []byte(q.Mask))
	}
	return nil
}

// masked tells whether have is want where mask has ones. All are of one length.
func masked(have, mask, want []byte) bool {
	for i := range have {
		if have[i]&mask[i] != want[i] {
			return false
		}
	}
	return true
}

// claims are what the quote says.
func (q *Quote) claims() *attest.Claims {
	if r := q.SGX; r != nil {
		return &attest.Claims{
			TEE: "sgx", Measurements: []attest.Measurement{{Name: "mrenclave", Value: r.MREnclave[:]}},
			Signer: r.MRSigner[:], Product: uint64(r.ProdID), SecurityVersion: uint64(r.SVN),
			Debug: r.Debug(), ReportData: r.ReportData[:],
		}
	}
	r := q.TDX
	c := &attest.Claims{TEE: "tdx", Debug: r.Debug(), ReportData: r.ReportData[:], Measurements: []attest.Measurement{
		{Name: "mrtd", Value: r.MRTD[:]},
		{Name: "mrconfigid", Value: r.MRConfigID[:]},
		{Name: "mrowner", Value: r.MROwner[:]},
		{Name: "mrownerconfig", Value: r.MROwnerConfig[:]},
		{Name: "mrseam", Value: r.MRSEAM[:]},
	}}
	for i := range r.RTMR {
		c.Measurements = append(c.Measurements, attest.Measurement{Name: fmt.Sprintf("rtmr%d", i), Value: r.RTMR[i][:]})
	}
	if r.TDX15 {
		c.Measurements = append(c.Measurements, attest.Measurement{Name: "mrservicetd", Value: r.MRService[:]})
	}
	return c
}

// sane checks what no true report has otherwise.
func (q *Quote) sane(k *attest.Checks) {
	if q.SGX != nil && !q.SGX.initialised() {
		k.Fail("report.attributes", "enclave", "initialised", "not initialised", "no enclave that runs reports that")
	}
}
