package measured

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
)

// Magic is how evidence begins.
const Magic = "SECGEAR-MEASURED"

// MaxEvidence is the size of the largest evidence, in bytes.
const MaxEvidence = 95 << 10

// Evidence says which image ran on a measured machine, in the words of its
// launcher, and has what signers outside of the launcher's reach say of the
// launcher's machine. A verifier that trusts what the signers describe (the boot
// up to the launcher) can believe the launcher.
type Evidence struct {
	// TEE is the backend that made it.
	TEE string
	// Emulated tells that the signers are programs, in tests. No verifier takes
	// such evidence for anything else.
	Emulated bool
	// Event is the image that asked for the evidence, encoded.
	Event []byte
	// Data is what it asked for evidence over.
	Data [64]byte
	// Log is what was measured.
	Log *Log
	// Report is the TEE's own, or nil.
	Report *Report
	// Quote is a TPM's, or nil.
	Quote *Quote
}

// Report is what Linux's configfs-tsm answers.
type Report struct {
	Provider string // "tdx_guest", "sev_guest", …
	Out      []byte // the report, signed
	Aux      []byte // certificates, or empty
}

// Quote is a TPM's signature over its registers.
type Quote struct {
	Attest    []byte // TPMS_ATTEST, signed
	Signature []byte // TPMT_SIGNATURE
	Public    []byte // TPMT_PUBLIC of the key that signed
	PCRs      []PCRValue

	// EKCertificate is what the TPM's maker says of its endorsement key (DER), or
	// empty. It vouches for the key that signed only after a challenge to which
	// the TPM alone knows the answer (TPM2_ActivateCredential).
	EKCertificate []byte
	// Platform is the report of a confidential VM over the TPM's key, as the
	// firmware of Azure's has put it into the TPM, or empty.
	Platform []byte
}

// PCRValue is the value of a register in the bank for SHA-256.
type PCRValue struct {
	Index int
	Value [32]byte
}

// PCRs is how many registers a TPM has at least.
const PCRs = 24

// Bounds of what evidence is made of, in bytes.
const (
	maxTEE       = 32
	maxProvider  = 64
	maxReport    = 48 << 10
	maxStructure = 1 << 10
	maxCert      = 8 << 10
)

// The encoding; numbers are big-endian, and a blob is its length (4) and its
// bytes.
//
//	"SECGEAR-MEASURED" (16), version 1 (2), emulated 0 or 1 (1)
//	TEE (blob), event (blob), data (64), log (blob)
//	has a report 0 or 1 (1); if so provider, out, aux (blobs)
//	has a quote 0 or 1 (1); if so attest, signature, public (blobs),
//	  number of registers (1), index (1) and value (32) of each, ascending,
//	  EK certificate, platform (blobs)
const evidenceVersion = 1

// Encode returns the bytes of e.
func (e *Evidence) Encode() ([]byte, error) {
	b := binary.BigEndian.AppendUint16([]byte(Magic), evidenceVersion)
	b = append(b, flag(e.Emulated))
	b = appendBlob(appendBlob(b, []byte(e.TEE)), e.Event)
	b = append(b, e.Data[:]...)
	b = appendBlob(b, e.Log.Encode())
	b = append(b, flag(e.Report != nil))
	if r := e.Report; r != nil {
		b = appendBlob(appendBlob(appendBlob(b, []byte(r.Provider)), r.Out), r.Aux)
	}
	b = append(b, flag(e.Quote != nil))
	if q := e.Quote; q != nil {
		b = appendBlob(appendBlob(appendBlob(b, q.Attest), q.Signature), q.Public)
		b = append(b, byte(len(q.PCRs)))
		for _, p := range q.PCRs {
			b = append(append(b, byte(p.Index)), p.Value[:]...)
		}
		b = appendBlob(appendBlob(b, q.EKCertificate), q.Platform)
	}
	if _, err := Parse(b); err != nil {
		return nil, fmt.Errorf("encoding evidence: %w", err)
	}
	return b, nil
}

func appendBlob(b, blob []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(blob))), blob...)
}

// Parse reads evidence, which may be anything. It checks nothing beyond the
// form; see [Evidence.Check]. Errors match [ErrFormat].
func Parse(b []byte) (*Evidence, error) {
	if len(b) > MaxEvidence {
		return nil, fmt.Errorf("%w: evidence of %d bytes, more than %d", ErrFormat, len(b), MaxEvidence)
	}
	r := &reader{rest: bytes.Clone(b), order: binary.BigEndian}
	if !bytes.Equal(r.bytes("magic", len(Magic)), []byte(Magic)) {
		r.fail("it does not begin with %s", Magic)
	}
	r.want("version", uint32(r.u16("version")), evidenceVersion)
	e := &Evidence{Emulated: r.flag("emulated")}
	e.TEE = string(r.blob("TEE", maxTEE))
	e.Event = r.blob("event", maxEvent)
	copy(e.Data[:], r.bytes("data", 64))
	log := r.blob("log", MaxLog)
	if r.flag("has a report") {
		e.Report = &Report{string(r.blob("provider", maxProvider)), r.blob("report", maxReport), r.blob("certificates", maxReport)}
	}
	if r.flag("has a quote") {
		e.Quote = parseQuote(r)
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("reading evidence: %w", err)
	}
	var err error
	if e.Log, err = ParseLog(log); err != nil {
		return nil, fmt.Errorf("reading evidence: log: %w", err)
	}
	if _, err := ParseEvent(e.Event); err != nil {
		return nil, fmt.Errorf("reading evidence: event: %w", err)
	}
	return e, nil
}

func parseQuote(r *reader) *Quote {
	q := &Quote{
		Attest: r.blob("attest", maxStructure), Signature: r.blob("signature", maxStructure), Public: r.blob("public", maxStructure),
	}
	last := -1
	for range r.u8("number of registers") {
		p := PCRValue{Index: int(r.u8("register"))}
		copy(p.Value[:], r.bytes("register's value", 32))
		if r.err == nil && (p.Index <= last || p.Index >= PCRs) {
			r.fail("register %d after %d", p.Index, last)
		}
		last = p.Index
		q.PCRs = append(q.PCRs, p)
	}
	q.EKCertificate = r.blob("EK certificate", maxCert)
	q.Platform = r.blob("platform", maxCert)
	return q
}

// flag takes a byte that is 0 or 1.
func (r *reader) flag(what string) bool {
	v := r.u8(what)
	if v > 1 {
		r.fail("%s is %d", what, v)
	}
	return v == 1
}

// Nonce is what the TPM's quote must be over, so that it belongs to this event
// and data.
func (e *Evidence) Nonce() [32]byte {
	return sha256.Sum256(e.bound("secgear quote v1\x00"))
}

// ReportData is what the TEE's report must be over, so that it belongs to this
// event, data, and TPM.
func (e *Evidence) ReportData() [64]byte {
	b := e.bound("secgear report v1\x00")
	if e.Quote != nil {
		b = append(b, SHA384.Sum(e.Quote.Public)...)
	}
	return sha512.Sum512(b)
}

func (e *Evidence) bound(use string) []byte {
	b := append([]byte(use), SHA384.Sum(e.Event)...)
	return append(b, e.Data[:]...)
}

// Check tells whether e is consistent: the event is in the log, the quote is
// over the event and the data, signed with its key, and the log leads to the
// register's value. It returns the quote's content, nil without one. Whose the
// key is, what the other registers should hold and who signed the report remain
// to be checked, as does that the report is over ReportData. Errors match
// [ErrMismatch] or [ErrFormat] and say which check failed.
func (e *Evidence) Check() (*Quoted, error) {
	if e.Report == nil && e.Quote == nil {
		return nil, fmt.Errorf("%w: nobody signed it", ErrMismatch)
	}
	if !e.Log.Has(e.Event) {
		return nil, fmt.Errorf("%w: the image that asked for it is not in the log", ErrMismatch)
	}
	if e.Quote == nil {
		return nil, nil
	}
	nonce := e.Nonce()
	quoted, err := e.Quote.Verify(nonce[:])
	if err != nil {
		return nil, err
	}
	want, err := e.Log.Replay(RegisterTPM, SHA256)
	if err != nil {
		return nil, err
	}
	got, ok := quoted.PCRs[PCR]
	if !ok || !bytes.Equal(got[:], want) {
		return nil, fmt.Errorf("%w: PCR %d is %x (quoted: %v), and the log leads to %x", ErrMismatch, PCR, got, ok, want)
	}
	return quoted, nil
}
