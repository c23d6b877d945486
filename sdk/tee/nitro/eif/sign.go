package eif

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/secgear/secgear/sdk/tee/nitro/internal/cbor"
	"github.com/secgear/secgear/sdk/tee/nitro/internal/cose"
)

// The signature section is an array of one map. AWS's tools write byte strings
// of these structures as arrays of numbers:
//
//	[{"signing_certificate": [bytes of a PEM certificate],
//	  "signature":           [bytes of a COSE_Sign1 message]}]
//
// The message's payload is {"register_index": 0, "register_value": [bytes of PCR0]}.
const (
	keyCertificate = "signing_certificate"
	keySignature   = "signature"
	keyIndex       = "register_index"
	keyValue       = "register_value"
)

// ErrSignature is matched when an image's signature is not right.
var ErrSignature = errors.New("the image's signature is not right")

// ErrUnsigned is matched when an image has no signature.
var ErrUnsigned = errors.New("the image is not signed")

// signature is a parsed signature section.
type signature struct {
	pem         []byte
	certificate *x509.Certificate
	message     []byte
}

// Sign signs the image's PCR0 with key, on P-384, to which cert belongs; its
// hash becomes PCR8. A signature that was there is replaced. Two signatures of
// the same image differ; what is measured does not.
func (i *Image) Sign(key *ecdsa.PrivateKey, cert *x509.Certificate) error {
	if !key.PublicKey.Equal(cert.PublicKey) {
		return errors.New("signing an EIF: the certificate is not that of the key")
	}
	i.Signature = nil
	pcrs, err := i.PCRs()
	if err != nil {
		return err
	}
	m, err := cose.Sign(payload(pcrs[0]), key)
	if err != nil {
		return fmt.Errorf("signing an EIF: %w", err)
	}
	s := signature{certificate: cert, message: m.Encode()}
	s.pem = s.certificatePEM()
	i.Signature = s.encode()
	return nil
}

// Verify returns the certificate whose key signed the image's PCR0. Whether to
// trust it is the caller's question: compare its hash, or the whole. An error
// matches [ErrUnsigned] or [ErrSignature].
func (i *Image) Verify() (*x509.Certificate, error) {
	if i.Signature == nil {
		return nil, fmt.Errorf("verifying an EIF: %w", ErrUnsigned)
	}
	s, err := parseSignature(i.Signature)
	if err != nil {
		return nil, fmt.Errorf("verifying an EIF: %w", err)
	}
	m, err := cose.Parse(s.message)
	if err != nil {
		return nil, fmt.Errorf("verifying an EIF: %w: %w", ErrSignature, err)
	}
	if err := m.Verify(s.certificate.PublicKey); err != nil {
		return nil, fmt.Errorf("verifying an EIF: %w: %w", ErrSignature, err)
	}
	pcrs, err := i.PCRs()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(m.Payload, payload(pcrs[0])) {
		return nil, fmt.Errorf("verifying an EIF: %w: it is of another image", ErrSignature)
	}
	return s.certificate, nil
}

// payload is what is signed.
func payload(pcr0 PCR) []byte {
	b := cbor.AppendMap(nil, 2)
	b = cbor.AppendText(b, keyIndex)
	b = cbor.AppendUint(b, 0)
	b = cbor.AppendText(b, keyValue)
	return appendNumbers(b, pcr0[:])
}

// appendNumbers appends a byte string as an array of numbers.
func appendNumbers(b, s []byte) []byte {
	b = cbor.AppendArray(b, len(s))
	for _, c := range s {
		b = cbor.AppendUint(b, uint64(c))
	}
	return b
}

// numbers reads a byte string that is an array of numbers.
func numbers(r *cbor.Reader) []byte {
	b := make([]byte, r.Array()) // no more than there are bytes
	for i := range b {
		n := r.Uint()
		if r.Err() != nil || n > 255 {
			return nil
		}
		b[i] = byte(n)
	}
	return b
}

func (s *signature) certificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificate.Raw})
}

func (s *signature) encode() []byte {
	b := cbor.AppendArray(nil, 1)
	b = cbor.AppendMap(b, 2)
	b = cbor.AppendText(b, keyCertificate)
	b = appendNumbers(b, s.pem)
	b = cbor.AppendText(b, keySignature)
	return appendNumbers(b, s.message)
}

// parseSignature reads a signature section. Its error matches ErrSignature.
func parseSignature(b []byte) (*signature, error) {
	s := &signature{}
	r := cbor.NewReader(b)
	if n := r.Array(); r.Err() == nil && n != 1 {
		return nil, fmt.Errorf("%w: signatures of %d registers instead of one", ErrSignature, n)
	}
	pairs := r.Map()
	first := r.Text()
	s.pem = numbers(r)
	second := r.Text()
	s.message = numbers(r)
	if err := r.End(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if pairs != 2 || first != keyCertificate || second != keySignature || s.pem == nil || s.message == nil {
		return nil, fmt.Errorf("%w: its section is not a certificate and a signature", ErrSignature)
	}
	block, rest := pem.Decode(s.pem)
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%w: it has no PEM certificate, or more than one", ErrSignature)
	}
	var err error
	if s.certificate, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return s, nil
}
