package tpm

import (
	"errors"

	"github.com/google/go-tpm/tpm2/transport"
)

// DeriveUnchecked is Derive without the look at the registers.
func DeriveUnchecked(t *TPM, s Secret, use string) (derived [32]byte, err error) {
	err = t.use("test", func(c transport.TPM) error {
		return storage(c, func(srk key) error {
			derived, err = derive(c, srk, s, use)
			return err
		})
	})
	return derived, err
}

// cutOff is a TPM that takes a number of commands, but for those that forget
// keys and sessions.
type cutOff struct {
	transport.TPM
	left *int
}

func (c cutOff) Send(command []byte) ([]byte, error) {
	const flushContext = 0x65
	if command[9] != flushContext || command[8] != 1 {
		if *c.left == 0 {
			return nil, errors.New("cut off")
		}
		*c.left--
	}
	return c.TPM.Send(command)
}

// IncrementCut is Increment with the commands that there are, and tells how many
// were left.
func IncrementCut(t *TPM, secret, id [32]byte, commands int) (left int, err error) {
	left = commands
	err = t.use("test", func(c transport.TPM) error {
		c = cutOff{c, &left}
		return storage(c, func(srk key) error {
			n := &counter{tpm: c, srk: srk, id: id}
			n.key, n.auth = mac(secret, "field"), password(secret, id)
			if err := n.find(); err != nil {
				return err
			}
			return n.make()
		})
	})
	return left, err
}
