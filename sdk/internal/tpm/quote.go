package tpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/secgear/secgear/sdk/measured"
)

// attestationKey is the template of the key that signs quotes: ECDSA with P-256,
// for nothing but what the TPM itself says.
var attestationKey = tpm2.TPMTPublic{
	Type:    tpm2.TPMAlgECC,
	NameAlg: tpm2.TPMAlgSHA256,
	ObjectAttributes: tpm2.TPMAObject{
		FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true,
		Restricted: true, SignEncrypt: true,
	},
	Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
		Scheme: tpm2.TPMTECCScheme{
			Scheme:  tpm2.TPMAlgECDSA,
			Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
		},
		CurveID: tpm2.TPMECCNistP256,
	}),
	Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
		X: tpm2.TPM2BECCParameter{Buffer: label("secgear attestation key v1")}, Y: tpm2.TPM2BECCParameter{Buffer: make([]byte, 32)},
	}),
}

func label(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

// Where TPMs have certificates (TCG EK Credential Profile, 2.2.1.4), and Azure's
// confidential VMs the report over their TPM's key, and that key.
const (
	nvEKCertECC = 0x01c0000a
	nvEKCertRSA = 0x01c00002
	nvAzure     = 0x01400001
	keyAzure    = 0x81000003
)

// HasPlatform tells whether the TPM says that it is inside a confidential VM of
// Azure's: whether it holds a report over its own key that is AMD's or Intel's.
// That is what the machine says of itself. Whether it is true is for verifiers,
// who check the report's signature.
func (t *TPM) HasPlatform() (has bool, err error) {
	err = t.use("looking for a platform's report", func(c transport.TPM) error {
		b, err := readFirst(c, nvAzure)
		has = confidential(b)
		return err
	})
	return has, err
}

// A platform's report; numbers are little-endian:
//
//	offset size
//	     0    4 "HCLA"
//	    32 1184 the hardware's report, or less
//	  1224    4 kind of report: 2 SEV-SNP, 4 TDX; others are of machines that
//	            are not confidential
//	  1236      claims, with the TPM's key
const (
	atReportKind = 1224
	atClaims     = 1236
	reportSNP    = 2
	reportTDX    = 4
)

// confidential tells whether b is the report of a confidential VM.
func confidential(b []byte) bool {
	if len(b) < atClaims || string(b[:4]) != "HCLA" {
		return false
	}
	kind := binary.LittleEndian.Uint32(b[atReportKind:])
	return kind == reportSNP || kind == reportTDX
}

// Quote has the TPM sign its registers pcrs, ascending, and nonce. On a
// confidential VM of Azure's the key is the one that the hardware's report
// vouches for, and else one that is the same as long as the TPM is not cleared.
func (t *TPM) Quote(nonce [32]byte, pcrs []int) (q *measured.Quote, err error) {
	err = t.use("quoting", func(c transport.TPM) error {
		q = &measured.Quote{}
		if q.EKCertificate, err = readFirst(c, nvEKCertECC, nvEKCertRSA); err != nil {
			return err
		}
		if q.Platform, err = readFirst(c, nvAzure); err != nil {
			return err
		}
		if !confidential(q.Platform) {
			q.Platform = nil
		}
		sign := func(k key) error { return quote(c, k, nonce, pcrs, q) }
		if q.Platform != nil {
			k, err := persistent(c, keyAzure)
			if err != nil {
				return fmt.Errorf("key of the confidential VM: %w", err)
			}
			return sign(k)
		}
		return primary(c, tpm2.TPMRHEndorsement, attestationKey, sign)
	})
	if err != nil {
		return nil, err
	}
	return q, nil
}

// persistent returns the key that is kept at handle.
func persistent(c transport.TPM, handle tpm2.TPMHandle) (key, error) {
	got, err := tpm2.ReadPublic{ObjectHandle: handle}.Execute(c)
	if err != nil {
		return key{}, err
	}
	return newKey(handle, got.OutPublic, got.Name)
}

// quote fills q. Somebody may extend a register between the signature and the
// reading of the values; then it is done again.
func quote(c transport.TPM, k key, nonce [32]byte, pcrs []int, q *measured.Quote) error {
	for range 5 {
		signed, err := tpm2.Quote{
			SignHandle:     k.with(tpm2.PasswordAuth(nil)),
			QualifyingData: tpm2.TPM2BData{Buffer: nonce[:]},
			InScheme:       tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
			PCRSelect:      selection(pcrs),
		}.Execute(c)
		if err != nil {
			return err
		}
		if q.PCRs, err = readPCRs(c, pcrs); err != nil {
			return err
		}
		q.Attest, q.Signature, q.Public = signed.Quoted.Bytes(), tpm2.Marshal(signed.Signature), tpm2.Marshal(k.public)
		if bytes.Contains(q.Attest, digestOf(q.PCRs)) {
			return nil
		}
	}
	return errors.New("the registers don't stand still")
}

// digestOf is the digest of registers' values in quotes and policies.
func digestOf(values []measured.PCRValue) []byte {
	h := sha256.New()
	for _, v := range values {
		h.Write(v.Value[:])
	}
	return h.Sum(nil)
}
