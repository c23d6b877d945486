package machine

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"github.com/secgear/secgear/internal/atomicfile"
	"github.com/secgear/secgear/sdk/internal/tpm"
	"github.com/secgear/secgear/sdk/measured"
)

// secretFile names the machine's secret. It is no secret:
//
//	secretMagic, length of the TPM's name (1), name, salt (32),
//	number of registers (1), index (1) and value (32) of each, ascending,
//	SHA-256 over all before
const (
	secretFile  = "tpm-secret"
	secretMagic = "secgear name of a TPM secret v1\n"
	maxSecret   = len(secretMagic) + 1 + maxName + 32 + 1 + measured.PCRs*33 + 32
	maxName     = 68 // TPM2B_NAME with SHA-512
)

// newSecret names a secret that is bound to the machine's present state.
func (m *Machine) newSecret(file string) (s tpm.Secret, err error) {
	if s.TPM, err = m.TPM.Name(); err != nil {
		return s, err
	}
	if s.PCRs, err = m.TPM.ReadPCRs(sealingPCRs); err != nil {
		return s, err
	}
	rand.Read(s.Salt[:])
	return s, atomicfile.Write(file, encodeSecret(s), 0o600)
}

func encodeSecret(s tpm.Secret) []byte {
	b := append([]byte(secretMagic), byte(len(s.TPM)))
	b = append(append(b, s.TPM...), s.Salt[:]...)
	b = append(b, byte(len(s.PCRs)))
	for _, p := range s.PCRs {
		b = append(append(b, byte(p.Index)), p.Value[:]...)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// readSecret reads a secret's name. A missing file matches fs.ErrNotExist.
func readSecret(file string) (tpm.Secret, error) {
	b, err := readSmall(file, maxSecret)
	if err != nil {
		return tpm.Secret{}, err
	}
	s, ok := parseSecret(b)
	if !ok {
		return tpm.Secret{}, fmt.Errorf("%s is damaged: restore it, or remove it and lose everything sealed on this machine", file)
	}
	return s, nil
}

// parseSecret reads what encodeSecret made.
func parseSecret(b []byte) (s tpm.Secret, ok bool) {
	n := len(b) - sha256.Size
	if n < 0 || sha256.Sum256(b[:n]) != [32]byte(b[n:]) {
		return s, false
	}
	b, ok = bytes.CutPrefix(b[:n], []byte(secretMagic))
	if !ok || len(b) == 0 || int(b[0]) > maxName || len(b) < 1+int(b[0])+32+1 {
		return s, false
	}
	n = 1 + int(b[0])
	s.TPM, s.Salt = bytes.Clone(b[1:n]), [32]byte(b[n:])
	count, b := int(b[n+32]), b[n+33:]
	if count == 0 || len(b) != 33*count {
		return s, false
	}
	for last := -1; len(b) > 0; b = b[33:] {
		p := measured.PCRValue{Index: int(b[0]), Value: [32]byte(b[1:])}
		if p.Index <= last || p.Index >= measured.PCRs {
			return s, false
		}
		last = p.Index
		s.PCRs = append(s.PCRs, p)
	}
	return s, true
}
