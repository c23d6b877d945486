// Package hardware plays the part of the silicon for the simulation: a secret
// that only it knows, keys derived from it for each enclave's identity, a
// signing key for evidence, and monotonic counters.
//
// It is used wherever there is no TEE: by the simulation's backend on the
// host's side of the boundary, and by tests that run an enclave in their own
// process. It keeps its state in files that the machine's owner can read,
// replace and turn back, which is why it proves nothing to anyone else.
package hardware

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/secgear/secgear/sdk/internal/entitlement"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/sim/evidence"
)

// ErrRefused is matched by errors about requests that an enclave isn't entitled
// to, or that are malformed.
var ErrRefused = entitlement.ErrRefused

// Machine is one simulated machine: what it derives differs from every
// other's. Its methods may be called concurrently.
type Machine struct {
	dir     string
	sealing []byte             // keys are derived from it
	signing ed25519.PrivateKey // signs evidence
	filing  []byte             // authenticates counter files

	mu   sync.Mutex
	seen map[string]uint64 // highest value seen of each counter, by file
}

// Open returns the machine whose state is in dir, a folder that only its owner
// can enter. The first use of dir makes the machine's secret.
func Open(dir string) (*Machine, error) {
	secret, err := loadSecret(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the simulated platform in %s: %w", dir, err)
	}
	m := &Machine{dir: dir, seen: map[string]uint64{}}
	var seed []byte
	for use, key := range map[string]*[]byte{"sealing": &m.sealing, "evidence": &seed, "counters": &m.filing} {
		*key, err = hkdf.Key(sha256.New, secret, nil, "secgear simulation v1 "+use, 32)
		if err != nil {
			return nil, fmt.Errorf("opening the simulated platform in %s: %w", dir, err)
		}
	}
	m.signing = ed25519.NewKeyFromSeed(seed)
	return m, nil
}

// Key is the public key with which the machine's evidence is verified.
func (m *Machine) Key() ed25519.PublicKey { return m.signing.Public().(ed25519.PublicKey) }

// Enclave returns the machine as the enclave id sees it. The caller vouches for
// id.
func (m *Machine) Enclave(id tee.Identity) *Enclave { return &Enclave{m, id} }

// Enclave is what a machine does for one enclave: [tee.SealingKeys],
// [tee.Attester] and [tee.Counters]. Arguments may be anything. Its methods may
// be called concurrently.
type Enclave struct {
	machine *Machine
	id      tee.Identity
}

var (
	_ tee.SealingKeys = (*Enclave)(nil)
	_ tee.Attester    = (*Enclave)(nil)
	_ tee.Counters    = (*Enclave)(nil)
)

// SealingKey implements [tee.SealingKeys], as package entitlement says.
func (e *Enclave) SealingKey(policy tee.Policy, version uint32, salt [32]byte) ([32]byte, error) {
	return entitlement.SealingKey(e.machine.sealing, e.id, policy, version, salt)
}

// Evidence implements [tee.Attester], in the format of package evidence.
func (e *Enclave) Evidence(data [64]byte) ([]byte, error) {
	return evidence.Sign(evidence.Evidence{
		Digest:          e.id.Digest,
		Signer:          e.id.Signer,
		SecurityVersion: e.id.Manifest.SecurityVersion,
		Debug:           e.id.Manifest.Debug,
		Name:            e.id.Manifest.Name,
		Data:            data,
	}, e.machine.signing)
}
