package guest

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/sgx/report"
)

// Pseudo-files of Gramine's.
const (
	attestationDir  = "/dev/attestation"
	typeFile        = attestationDir + "/attestation_type"
	dataFile        = attestationDir + "/user_report_data"
	quoteFile       = attestationDir + "/quote"
	imageKeyFile    = attestationDir + "/keys/_sgx_mrenclave"
	signerKeyFile   = attestationDir + "/keys/_sgx_mrsigner"
	attestationKind = "dcap"
)

// gramineKey is the size of Gramine's sealing keys, in bytes.
const gramineKey = 16

// attestation implements [tee.SealingKeys] and [tee.Attester].
type attestation struct {
	root string
	id   tee.Identity
}

// quoting: what to quote and the quote are two files of the whole process.
var quoting sync.Mutex

// check tells whether the processor's evidence is to be had.
func (a attestation) check() error {
	b, err := readFile(a.root+typeFile, 64)
	if err != nil {
		return fmt.Errorf("looking for SGX: %w", err)
	}
	if kind := strings.TrimSpace(string(b)); kind != attestationKind {
		return fmt.Errorf("looking for SGX: %s says %.20q instead of %q", typeFile, kind, attestationKind)
	}
	return nil
}

// Evidence implements [tee.Attester]: a quote of DCAP over data.
func (a attestation) Evidence(data [64]byte) ([]byte, error) {
	quoting.Lock()
	defer quoting.Unlock()
	if err := writeFile(a.root+dataFile, data[:]); err != nil {
		return nil, fmt.Errorf("asking for a quote: %w", err)
	}
	quote, err := readFile(a.root+quoteFile, report.MaxQuote)
	if err != nil {
		return nil, fmt.Errorf("asking for a quote: %w", err)
	}
	r, err := report.FromQuote(quote)
	if err != nil {
		return nil, fmt.Errorf("asking for a quote: %w", err)
	}
	if r.Data != data {
		return nil, errors.New("asking for a quote: it is over other data")
	}
	return quote, nil
}

// SealingKey implements [tee.SealingKeys]. Gramine hands out one key for this very
// enclave, and one for those of its signer, its ISVPRODID and its ISVSVN: the keys
// of other versions are not to be had, unlike elsewhere also those of older ones.
func (a attestation) SealingKey(policy tee.Policy, version uint32, salt [32]byte) (key [32]byte, err error) {
	file := imageKeyFile
	switch own := a.id.Manifest.SecurityVersion; {
	case policy == tee.PolicyImage:
	case policy != tee.PolicySigner:
		return key, fmt.Errorf("a sealing key of policy %d: %w", policy, errors.ErrUnsupported)
	case version > own:
		return key, fmt.Errorf("the sealing key of security version %d: this image has %d", version, own)
	case version < own:
		return key, fmt.Errorf("the sealing key of security version %d: Gramine has that of the running one only, %d: %w", version, own, errors.ErrUnsupported)
	default:
		file = signerKeyFile
	}
	secret, err := readFile(a.root+file, gramineKey)
	if err != nil {
		return key, fmt.Errorf("deriving a sealing key: %w", err)
	}
	defer clear(secret)
	if len(secret) != gramineKey {
		return key, fmt.Errorf("deriving a sealing key: Gramine's has %d bytes instead of %d", len(secret), gramineKey)
	}
	derived, err := hkdf.Key(sha256.New, secret, salt[:], a.context(policy, version), len(key))
	if err != nil {
		return key, fmt.Errorf("deriving a sealing key: %w", err)
	}
	defer clear(derived)
	return [32]byte(derived), nil
}

// context sets the keys of enclaves apart for which the processor has the same
// one: those of names that share an ISVPRODID.
func (a attestation) context(policy tee.Policy, version uint32) string {
	b := append([]byte("secgear sgx seal 1"), byte(policy))
	b = binary.LittleEndian.AppendUint32(b, version)
	b = append(b, a.id.Signer[:]...)
	return string(append(b, a.id.Manifest.Name...))
}

// readFile reads a file of most bytes.
func readFile(name string, most int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err != nil {
		return nil, err
	}
	if len(b) > most {
		return nil, fmt.Errorf("%s has more than %d bytes", name, most)
	}
	return b, nil
}

// writeFile writes to a file that exists.
func writeFile(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
