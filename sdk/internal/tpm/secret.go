package tpm

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/secgear/secgear/sdk/measured"
)

// ErrOtherTPM: a secret was asked of another TPM than it is of.
var ErrOtherTPM = errors.New("it is another TPM, or was cleared")

// Secret names a secret that no one ever sees but as what is derived from it: a
// key that the TPM makes of its own seed, never releases, and uses only while
// the registers have these values. It is no secret itself; whoever alters it has
// named another one.
type Secret struct {
	TPM  []byte              // its name
	Salt [32]byte            // different for each secret
	PCRs []measured.PCRValue // ascending; the values that the registers must have
}

// Derive returns a key that is derived from the secret for a use, at most 1 KiB
// of text. Errors match [ErrOtherTPM], or [*ChangedError] if the machine is in
// another state.
func (t *TPM) Derive(s Secret, use string) (derived [32]byte, err error) {
	err = t.use("deriving a secret", func(c transport.TPM) error {
		if err := checkPCRs(c, s.PCRs); err != nil {
			return err
		}
		return storage(c, func(srk key) error {
			if !bytes.Equal(srk.name.Buffer, s.TPM) {
				return ErrOtherTPM
			}
			derived, err = derive(c, srk, s, use)
			return err
		})
	})
	return derived, err
}

// ChangedError says which registers have other values than a secret's.
type ChangedError struct{ PCRs []int }

// Error names the registers.
func (e *ChangedError) Error() string {
	return fmt.Sprintf("the machine is in another state: PCRs %v have changed", e.PCRs)
}

// checkPCRs tells which registers have other values than wanted. The TPM checks
// for itself; this is for the message.
func checkPCRs(c transport.TPM, want []measured.PCRValue) error {
	now, err := readPCRs(c, indices(want))
	if err != nil {
		return err
	}
	var changed []int
	for i := range now {
		if now[i] != want[i] {
			changed = append(changed, now[i].Index)
		}
	}
	if changed != nil {
		return &ChangedError{changed}
	}
	return nil
}

func indices(values []measured.PCRValue) (list []int) {
	for _, v := range values {
		list = append(list, v.Index)
	}
	return list
}

// derive has the TPM compute the HMAC of use with the secret's key.
func derive(c transport.TPM, srk key, s Secret, use string) (derived [32]byte, err error) {
	template, err := s.template()
	if err != nil {
		return derived, err
	}
	err = primary(c, tpm2.TPMRHOwner, template, func(k key) error {
		policy := func(c transport.TPM, session tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
			_, err := tpm2.PolicyPCR{PolicySession: session, Pcrs: selection(indices(s.PCRs))}.Execute(c)
			return err
		}
		got, err := tpm2.Hmac{
			Handle:  k.with(tpm2.Policy(tpm2.TPMAlgSHA256, nonceSize, policy, secret(srk, out{})...)),
			Buffer:  tpm2.TPM2BMaxBuffer{Buffer: []byte(use)},
			HashAlg: tpm2.TPMAlgSHA256,
		}.Execute(c)
		if err != nil {
			return err
		}
		if copy(derived[:], got.OutHMAC.Buffer) != len(got.OutHMAC.Buffer) || len(got.OutHMAC.Buffer) != len(derived) {
			return fmt.Errorf("the TPM answers with %d bytes", len(got.OutHMAC.Buffer))
		}
		clear(got.OutHMAC.Buffer)
		return nil
	})
	return derived, err
}

// template is that of the secret's key.
func (s Secret) template() (t tpm2.TPMTPublic, err error) {
	policy, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		return t, err
	}
	err = tpm2.PolicyPCR{PcrDigest: tpm2.TPM2BDigest{Buffer: digestOf(s.PCRs)}, Pcrs: selection(indices(s.PCRs))}.Update(policy)
	if err != nil {
		return t, err
	}
	return tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgKeyedHash,
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, AdminWithPolicy: true, NoDA: true, SignEncrypt: true,
		},
		AuthPolicy: tpm2.TPM2BDigest{Buffer: policy.Hash().Digest},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgKeyedHash, &tpm2.TPMSKeyedHashParms{
			Scheme: tpm2.TPMTKeyedHashScheme{
				Scheme:  tpm2.TPMAlgHMAC,
				Details: tpm2.NewTPMUSchemeKeyedHash(tpm2.TPMAlgHMAC, &tpm2.TPMSSchemeHMAC{HashAlg: tpm2.TPMAlgSHA256}),
			},
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgKeyedHash, &tpm2.TPM2BDigest{Buffer: s.Salt[:]}),
	}, nil
}
