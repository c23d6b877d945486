// Package document reads and checks attestation documents of the Nitro Secure
// Module: what [github.com/secgear/secgear/sdk/tee/nitro/guest] gives as
// evidence.
//
// A document is a COSE_Sign1 message whose payload is a map (the Nitro
// Enclaves user guide, "Cryptographic attestation"):
//
//	module_id   text
//	digest      text, "SHA384"
//	timestamp   number, milliseconds since 1970
//	pcrs        map of number → 48 bytes, of registers that are locked
//	certificate bytes, DER: of the key that signed
//	cabundle    array of bytes, DER: from the root to the certificate's issuer
//	public_key, user_data, nonce: bytes or null, as the enclave asked for
//
// The emulation that QEMU has signs nothing: certificates and signature are
// zeros. Such a document is worth nothing to anybody but a test, and is
// accepted by those only who ask for it by name.
package document

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/secgear/secgear/sdk/tee/nitro/internal/cbor"
	"github.com/secgear/secgear/sdk/tee/nitro/internal/cose"
)

// Bounds of the fields.
const (
	MaxSize      = 16 << 10 // of a document
	MaxPublicKey = 1024
	MaxUserData  = 512
	MaxNonce     = 512

	maxCertificate = 1024
	maxBundle      = 16
	maxModuleID    = 255
	maxPCR         = 31
	pcrSize        = 48
)

var (
	// ErrFormat is matched when a document is malformed.
	ErrFormat = errors.New("malformed attestation document")
	// ErrEmulated is matched when a document comes from the emulation and that
	// was not asked for.
	ErrEmulated = errors.New("the attestation document comes from an emulation: nobody signed it")
	// ErrNotEmulated is matched when a document from the emulation was asked for
	// and this is none.
	ErrNotEmulated = errors.New("the attestation document does not come from the emulation")
	// ErrUntrusted is matched when the signature or its chain is not right.
	ErrUntrusted = errors.New("the attestation document's signature is not right")
	// ErrDebug is matched when the enclave was launched for debugging: its
	// console is open, and its registers are zeros.
	ErrDebug = errors.New("the enclave was launched for debugging: nothing was measured")
	// ErrMismatch is matched when a document says something else than expected.
	ErrMismatch = errors.New("the attestation document says something else")
)

// RootFingerprint is the SHA-256 of AWS's root certificate, as AWS publishes it.
const RootFingerprint = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"

// Document is a document that was read. Nothing in it is verified.
type Document struct {
	ModuleID    string
	Time        time.Time // by the hypervisor's clock
	PCRs        map[int][]byte
	Certificate []byte
	Bundle      [][]byte
	PublicKey   []byte // nil if the enclave gave none; likewise the next two
	UserData    []byte
	Nonce       []byte

	message *cose.Sign1
}

// Parse reads a document.
func Parse(b []byte) (*Document, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes are more than %d", ErrFormat, len(b), MaxSize)
	}
	b = bytes.Clone(b)
	m, err := cose.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	d := &Document{message: m}
	if err := d.parsePayload(m.Payload); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return d, nil
}

// parsePayload reads the map. Fields that this package does not know are
// skipped.
func (d *Document) parsePayload(b []byte) error {
	r := cbor.NewReader(b)
	seen := map[string]bool{}
	for range r.Map() {
		key := r.Text()
		if r.Err() != nil {
			return r.Err()
		}
		if seen[key] {
			return fmt.Errorf("field %.40q is there twice", key)
		}
		seen[key] = true
		if err := d.parseField(r, key); err != nil {
			return fmt.Errorf("%.40s: %w", key, err)
		}
	}
	if err := r.End(); err != nil {
		return err
	}
	for _, key := range []string{"module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"} {
		if !seen[key] {
			return fmt.Errorf("no field %s", key)
		}
	}
	return nil
}

func (d *Document) parseField(r *cbor.Reader, key string) error {
	var err error
	switch key {
	case "module_id":
		if d.ModuleID = r.Text(); len(d.ModuleID) == 0 || len(d.ModuleID) > maxModuleID {
			err = fmt.Errorf("%d characters", len(d.ModuleID))
		}
	case "digest":
		if digest := r.Text(); digest != "SHA384" {
			err = fmt.Errorf("%.20q instead of SHA384", digest)
		}
	case "timestamp":
		ms := r.Uint()
		if ms == 0 || ms > 1<<53 {
			err = fmt.Errorf("%d", ms)
		}
		d.Time = time.UnixMilli(int64(ms)).UTC()
	case "pcrs":
		d.PCRs, err = parsePCRs(r)
	case "certificate":
		d.Certificate, err = bounded(r, 1, maxCertificate)
	case "cabundle":
		d.Bundle, err = parseBundle(r)
	case "public_key":
		d.PublicKey, err = optional(r, 1, MaxPublicKey)
	case "user_data":
		d.UserData, err = optional(r, 0, MaxUserData)
	case "nonce":
		d.Nonce, err = optional(r, 0, MaxNonce)
	default:
		r.Skip()
	}
	if r.Err() != nil {
		return r.Err()
	}
	return err
}

// bounded reads a byte string of least to most bytes.
func bounded(r *cbor.Reader, least, most int) ([]byte, error) {
	b := r.Bytes()
	if len(b) < least || len(b) > most {
		return nil, fmt.Errorf("%d bytes, not %d to %d", len(b), least, most)
	}
	return b, nil
}

// optional is bounded for a field that may be null.
func optional(r *cbor.Reader, least, most int) ([]byte, error) {
	if r.Null() {
		return nil, nil
	}
	return bounded(r, least, most)
}

func parsePCRs(r *cbor.Reader) (map[int][]byte, error) {
	n := r.Map()
	if n < 1 || n > maxPCR+1 {
		return nil, fmt.Errorf("%d registers", n)
	}
	pcrs := make(map[int][]byte, n)
	for range n {
		i := r.Uint()
		value, err := bounded(r, pcrSize, pcrSize)
		if i > maxPCR || err != nil {
			return nil, fmt.Errorf("register %d: %w", i, err)
		}
		if pcrs[int(i)] != nil {
			return nil, fmt.Errorf("register %d is there twice", i)
		}
		pcrs[int(i)] = value
	}
	return pcrs, nil
}

func parseBundle(r *cbor.Reader) ([][]byte, error) {
	n := r.Array()
	if n < 1 || n > maxBundle {
		return nil, fmt.Errorf("%d certificates", n)
	}
	var bundle [][]byte
	for range n {
		c, err := bounded(r, 1, maxCertificate)
		if err != nil {
			return nil, err
		}
		bundle = append(bundle, c)
	}
	return bundle, nil
}

// Emulated tells whether the signature is one that nobody made: zeros only.
func (d *Document) Emulated() bool { return zeros(d.message.Signature) }

// Debug tells whether the register that every image is measured into is zero.
func (d *Document) Debug() bool { return zeros(d.PCRs[0]) }

func zeros(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}

// Policy is what a relying party expects of a document.
type Policy struct {
	// Roots are whom to trust: AWS's root, unless in tests; see [Root].
	Roots *x509.CertPool
	// Time is when the certificates must be valid: now, or when the document was
	// received. They are valid for hours.
	Time time.Time

	// Emulated asks for a document of the emulation, and no other. Roots and Time
	// are of no use then.
	Emulated bool
	// Debug accepts enclaves launched for debugging. PCRs 0 to 2 are not compared
	// then; they are zeros.
	Debug bool

	// PCRs are the values that registers must have; at least one of 0, 1, 2 and 8
	// is among them, or the document would say nothing of what runs.
	PCRs map[int][]byte
	// UserData, Nonce and PublicKey, unless nil, must be those of the document.
	UserData, Nonce, PublicKey []byte
}

// Check returns nil if the document is what p asks for, and otherwise the first
// thing that is not.
func (d *Document) Check(p Policy) error {
	if err := d.checkOrigin(p); err != nil {
		return fmt.Errorf("checking an attestation document: %w", err)
	}
	if err := d.checkContent(p); err != nil {
		return fmt.Errorf("checking an attestation document: %w", err)
	}
	return nil
}

func (d *Document) checkOrigin(p Policy) error {
	switch {
	case d.Emulated() && !p.Emulated:
		return ErrEmulated
	case !d.Emulated() && p.Emulated:
		return ErrNotEmulated
	case d.Emulated():
		return nil
	}
	return d.verify(p.Roots, p.Time)
}

// verify verifies the signature, and the chain of its certificate.
func (d *Document) verify(roots *x509.CertPool, now time.Time) error {
	if roots == nil {
		return fmt.Errorf("%w: no root was given to trust", ErrUntrusted)
	}
	leaf, err := x509.ParseCertificate(d.Certificate)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	between := x509.NewCertPool()
	for _, b := range d.Bundle {
		c, err := x509.ParseCertificate(b)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUntrusted, err)
		}
		between.AddCert(c)
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	if err := d.message.Verify(leaf.PublicKey); err != nil {
		return fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	return nil
}

// identifying are the registers that say what runs.
var identifying = []int{0, 1, 2, 8}

func (d *Document) checkContent(p Policy) error {
	if d.Debug() && !p.Debug {
		return ErrDebug
	}
	known := false
	for _, i := range identifying {
		known = known || p.PCRs[i] != nil
	}
	if !known && !d.Debug() {
		return fmt.Errorf("%w: the policy names none of PCR0, PCR1, PCR2 and PCR8", ErrMismatch)
	}
	for i, want := range p.PCRs {
		if d.Debug() && i <= 2 {
			continue
		}
		if got := d.PCRs[i]; got == nil || !bytes.Equal(got, want) {
			return fmt.Errorf("%w: PCR%d is %x instead of %x", ErrMismatch, i, got, want)
		}
	}
	for _, f := range []struct {
		name      string
		got, want []byte
	}{{"user data", d.UserData, p.UserData}, {"nonce", d.Nonce, p.Nonce}, {"public key", d.PublicKey, p.PublicKey}} {
		if f.want != nil && subtle.ConstantTimeCompare(f.got, f.want) != 1 {
			return fmt.Errorf("%w: the %s is %x instead of %x", ErrMismatch, f.name, f.got, f.want)
		}
	}
	return nil
}

// Root returns a pool of AWS's root certificate, from a file as AWS publishes
// it (DER) or from the first certificate of a document's bundle: it is compared
// with [RootFingerprint].
func Root(der []byte) (*x509.CertPool, error) {
	sum := sha256.Sum256(der)
	if hex.EncodeToString(sum[:]) != RootFingerprint {
		return nil, fmt.Errorf("%w: a certificate with fingerprint %x is not AWS's root", ErrUntrusted, sum)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading AWS's root certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return pool, nil
}
