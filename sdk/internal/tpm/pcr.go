package tpm

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/secgear/secgear/sdk/measured"
)

// selection selects registers of the bank for SHA-256.
func selection(pcrs []int) tpm2.TPMLPCRSelection {
	var list []uint
	for _, p := range pcrs {
		list = append(list, uint(p))
	}
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
		Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(list...),
	}}}
}

// banks are the hash functions for which there are registers.
func banks(c transport.TPM) (map[tpm2.TPMAlgID]bool, error) {
	got, err := tpm2.GetCapability{Capability: tpm2.TPMCapPCRs, PropertyCount: 1}.Execute(c)
	if err != nil {
		return nil, err
	}
	assigned, err := got.CapabilityData.Data.AssignedPCR()
	if err != nil {
		return nil, err
	}
	found := map[tpm2.TPMAlgID]bool{}
	for _, s := range assigned.PCRSelections {
		if len(bytes.Trim(s.PCRSelect, "\x00")) > 0 {
			found[s.Hash] = true
		}
	}
	return found, nil
}

// ReadPCRs reads registers of the bank for SHA-256. pcrs are ascending.
func (t *TPM) ReadPCRs(pcrs []int) (values []measured.PCRValue, err error) {
	err = t.use("reading registers", func(c transport.TPM) error {
		values, err = readPCRs(c, pcrs)
		return err
	})
	return values, err
}

func readPCRs(c transport.TPM, pcrs []int) (values []measured.PCRValue, err error) {
	for len(values) < len(pcrs) {
		rest := pcrs[len(values):]
		rest = rest[:min(len(rest), 8)] // as many as fit into an answer
		got, err := tpm2.PCRRead{PCRSelectionIn: selection(rest)}.Execute(c)
		if err != nil {
			return nil, err
		}
		if len(got.PCRValues.Digests) != len(rest) {
			return nil, fmt.Errorf("the TPM has %d of the registers %v", len(got.PCRValues.Digests), rest)
		}
		for i, d := range got.PCRValues.Digests {
			if len(d.Buffer) != 32 {
				return nil, fmt.Errorf("register %d has %d bytes", rest[i], len(d.Buffer))
			}
			values = append(values, measured.PCRValue{Index: rest[i], Value: [32]byte(d.Buffer)})
		}
	}
	return values, nil
}

// Extend measures event into a register, in each bank that there is for the hash
// functions of package measured.
func (t *TPM) Extend(pcr int, event []byte) error {
	return t.use(fmt.Sprintf("extending PCR %d", pcr), func(c transport.TPM) error {
		have, err := banks(c)
		if err != nil {
			return err
		}
		var digests []tpm2.TPMTHA
		for _, a := range []measured.Alg{measured.SHA256, measured.SHA384} {
			if id := tpm2.TPMAlgID(a); have[id] {
				digests = append(digests, tpm2.TPMTHA{HashAlg: id, Digest: a.Sum(event)})
			}
		}
		if len(digests) == 0 {
			return errors.New("it has no bank for SHA-256 or SHA-384")
		}
		_, err = tpm2.PCRExtend{
			PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: tpm2.PasswordAuth(nil)},
			Digests:   tpm2.TPMLDigestValues{Digests: digests},
		}.Execute(c)
		return err
	})
}
