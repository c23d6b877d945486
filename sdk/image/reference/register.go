package reference

import (
	"crypto"
	_ "crypto/sha256" // the banks that are in use
	_ "crypto/sha512"
	"fmt"
)

// Register replays a measurement register: a TPM's PCR, a TDX RTMR, a PCR of
// Nitro. It begins as zeros; each step makes it the hash of its old value and
// what is measured.
type Register struct {
	algorithm crypto.Hash
	value     []byte
}

// NewRegister returns a register of zeros of a bank: crypto.SHA256 or
// crypto.SHA384.
func NewRegister(bank crypto.Hash) *Register {
	return &Register{bank, make([]byte, bank.Size())}
}

// Extend adds a digest, which has the size of the register.
func (r *Register) Extend(digest []byte) error {
	if len(digest) != len(r.value) {
		return fmt.Errorf("extending a %v register by %d bytes instead of %d", r.algorithm, len(digest), len(r.value))
	}
	h := r.algorithm.New()
	h.Write(r.value)
	h.Write(digest)
	r.value = h.Sum(nil)
	return nil
}

// Measure extends the register by the digest of data in its own algorithm.
func (r *Register) Measure(data []byte) {
	h := r.algorithm.New()
	h.Write(data)
	_ = r.Extend(h.Sum(nil)) // of its size
}

// Value returns what the register holds now.
func (r *Register) Value() []byte { return append([]byte(nil), r.value...) }
