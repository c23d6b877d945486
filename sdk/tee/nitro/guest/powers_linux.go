package guest

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/secgear/secgear/sdk/tee"
)

// Evidence implements [tee.Attester]: an attestation document with data as its
// user data, see package document.
func (p *platform) Evidence(data [64]byte) ([]byte, error) {
	return p.module.Attest(nil, data[:], nil)
}

// SealingKey implements [tee.SealingKeys]: there are none.
func (p *platform) SealingKey(tee.Policy, uint32, [32]byte) (key [32]byte, err error) {
	return key, fmt.Errorf("a Nitro Enclave has no keys of its own that outlive it; "+
		"have one released on its evidence by AWS KMS or an attestation service: %w", errors.ErrUnsupported)
}

// Counter implements [tee.Counters]: there are none.
func (p *platform) Counter(string) (uint64, error) { return 0, errCounters }

// Increment implements [tee.Counters]: there are none.
func (p *platform) Increment(string) (uint64, error) { return 0, errCounters }

var errCounters = fmt.Errorf("a Nitro Enclave has nothing that outlives it, and no counters; "+
	"keep them in a service that demands its evidence: %w", errors.ErrUnsupported)

// Secret implements [tee.SecretMemory]: the enclave's memory has been taken from
// the host, all of it. It is kept from being swapped, which it is not anyway.
func (p *platform) Secret(n int) (mem []byte, release func(), err error) {
	if n <= 0 || uint64(n) > p.id.Manifest.Memory {
		return nil, nil, fmt.Errorf("getting %d bytes of secret memory: the manifest allows 1 to %d", n, p.id.Manifest.Memory)
	}
	whole, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return nil, nil, fmt.Errorf("getting %d bytes of secret memory: %w", n, err)
	}
	if err := syscall.Mlock(whole); err != nil {
		syscall.Munmap(whole)
		return nil, nil, fmt.Errorf("locking %d bytes of secret memory: %w", n, err)
	}
	return whole, func() {
		clear(whole)
		syscall.Munmap(whole)
	}, nil
}
