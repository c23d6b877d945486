package enclave

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/secgear/secgear/sdk/tee"
)

// lacks says that the TEE has no such power.
func (e *Enclave) lacks(what string) error {
	return fmt.Errorf("TEE %s has no %s: %w", e.platform.Name(), what, errors.ErrUnsupported)
}

// MaxEvidenceData is how many bytes evidence is taken over at most.
const MaxEvidenceData = 64

// Evidence returns the TEE's evidence over the enclave's identity and data: a
// verifier's nonce, or the hash of more, of at most [MaxEvidenceData] bytes.
// Shorter data is padded with zeros.
func (e *Enclave) Evidence(data []byte) ([]byte, error) {
	var fixed [MaxEvidenceData]byte
	if len(data) > len(fixed) {
		return nil, fmt.Errorf("taking evidence: %d bytes of data are more than %d", len(data), len(fixed))
	}
	copy(fixed[:], data)
	p, ok := e.platform.(tee.Attester)
	if !ok {
		return nil, fmt.Errorf("taking evidence: %w", e.lacks("evidence"))
	}
	return p.Evidence(fixed)
}

// Counter returns the value of a monotonic counter, zero if it was never
// incremented. Counters belong to the image's signer and name, survive the
// enclave and can't be turned back: a value sealed together with the state
// tells whether that state is the latest.
func (e *Enclave) Counter(id string) (uint64, error) {
	return e.count("reading", id, tee.Counters.Counter)
}

// Increment adds one to a monotonic counter and returns the new value once it
// is durable.
func (e *Enclave) Increment(id string) (uint64, error) {
	return e.count("incrementing", id, tee.Counters.Increment)
}

func (e *Enclave) count(doing, id string, do func(tee.Counters, string) (uint64, error)) (uint64, error) {
	p, ok := e.platform.(tee.Counters)
	if !ok {
		return 0, fmt.Errorf("%s counter %.100q: %w", doing, id, e.lacks("monotonic counters"))
	}
	return do(p, id)
}

// Random returns the enclave's source of random bytes, crypto/rand.Reader: in
// every TEE it draws on what the processor or the enclave's own kernel has, not
// on the host's answers. Packages that use crypto/rand are right as they are.
func (e *Enclave) Random() io.Reader { return rand.Reader }

// UntrustedTime is a time that the host has chosen.
type UntrustedTime struct{ t time.Time }

// Unverified returns the time. The host can set it forward, back, or stop it:
// nothing secret may depend on it.
func (t UntrustedTime) Unverified() time.Time { return t.t }

// HostTime returns the time as the host tells it. time.Now in an enclave is no
// better.
func (e *Enclave) HostTime() UntrustedTime { return UntrustedTime{time.Now()} }

// SecretMemory returns n zero bytes of memory that the host's kernel itself has
// no way to read as long as it is honest, and the function that wipes and frees
// them; nothing may use them after it. Such memory is scarce: it is for keys. An
// error matches [errors.ErrUnsupported] where there is none, which is no fault:
// in most TEEs all of the enclave's memory is out of the host's reach.
func (e *Enclave) SecretMemory(n int) (mem []byte, free func(), err error) {
	p, ok := e.platform.(tee.SecretMemory)
	if !ok {
		return nil, nil, fmt.Errorf("getting secret memory: %w", e.lacks("secret memory"))
	}
	return p.Secret(n)
}
