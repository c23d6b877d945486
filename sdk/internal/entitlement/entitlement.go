// Package entitlement says what an enclave is entitled to of its platform:
// which sealing keys are derived for it from the platform's secret, and which
// counters are its own. Platforms that are programs share it.
package entitlement

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/secgear/secgear/sdk/tee"
)

// ErrRefused is matched by errors about requests that an enclave isn't entitled
// to, or that are malformed.
var ErrRefused = errors.New("refused by the platform")

// Check refuses a request for a sealing key that id is not entitled to.
func Check(id tee.Identity, policy tee.Policy, version uint32) error {
	switch {
	case policy != tee.PolicyImage && policy != tee.PolicySigner:
		return fmt.Errorf("deriving a sealing key: %w: unknown policy %d", ErrRefused, policy)
	case policy == tee.PolicySigner && version > id.Manifest.SecurityVersion:
		return fmt.Errorf("deriving a sealing key: %w: security version %d is above the image's own, %d", ErrRefused, version, id.Manifest.SecurityVersion)
	}
	return nil
}

// SealingKey derives what [tee.SealingKeys] returns to id from the platform's
// secret. Debug images get keys of their own, so that what is sealed for
// production can't be had by inspecting an enclave.
func SealingKey(secret []byte, id tee.Identity, policy tee.Policy, version uint32, salt [32]byte) (key [32]byte, err error) {
	if err := Check(id, policy, version); err != nil {
		return key, err
	}
	info := []byte{byte(policy), 0}
	if id.Manifest.Debug {
		info[1] = 1
	}
	info = binary.BigEndian.AppendUint32(info, version)
	if policy == tee.PolicyImage {
		info = append(info, id.Digest[:]...)
	} else {
		info = append(info, id.Signer[:]...)
		info = append(info, id.Manifest.Name...)
	}
	b, err := hkdf.Key(sha256.New, secret, salt[:], string(info), len(key))
	if err != nil {
		return key, fmt.Errorf("deriving a sealing key: %w", err)
	}
	return [32]byte(b), nil
}

// MaxCounterID is the length of a counter's id in bytes at most.
const MaxCounterID = 128

// Owner is whose counters id's are: its signer's, for images of its name.
func Owner(id tee.Identity) [32]byte {
	h := sha256.New()
	h.Write(id.Signer[:])
	h.Write([]byte(id.Manifest.Name))
	return [32]byte(h.Sum(nil))
}

// CheckCounterID refuses what is no counter's id: those are 1 to [MaxCounterID]
// printable ASCII characters.
func CheckCounterID(id string) error {
	if len(id) == 0 || len(id) > MaxCounterID {
		return fmt.Errorf("%w: an id has 1 to %d characters, not %d", ErrRefused, MaxCounterID, len(id))
	}
	for _, c := range []byte(id) {
		if c < ' ' || c > '~' {
			return fmt.Errorf("%w: an id is of printable ASCII characters", ErrRefused)
		}
	}
	return nil
}
