package tpm

import (
	"encoding/binary"
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

// ErrAltered is errAltered.
var ErrAltered = errAltered

// between is something between this program and the TPM, which alters answers.
type between struct {
	transport.TPM
	code  uint32 // of the command
	alter func(answer []byte)
}

func (b between) Send(command []byte) ([]byte, error) {
	answer, err := b.TPM.Send(command)
	if err == nil && binary.BigEndian.Uint32(command[6:]) == b.code && binary.BigEndian.Uint32(answer[6:]) == 0 {
		b.alter(answer)
	}
	return answer, err
}

// WithBetween calls Derive, or reads and increments a counter, with something in
// between.
func WithBetween(t *TPM, code uint32, alter func(answer []byte), s Secret) (derived, counted error) {
	derived = t.use("test", func(c transport.TPM) error {
		c = between{c, code, alter}
		return storage(c, func(srk key) error {
			_, err := derive(c, srk, s, "use")
			return err
		})
	})
	counted = t.use("test", func(c transport.TPM) error {
		c = between{c, code, alter}
		return storage(c, func(srk key) error {
			n := &counter{tpm: c, srk: srk, id: [32]byte{1}}
			n.key, n.auth = mac([32]byte{1}, "field"), password([32]byte{1}, n.id)
			if err := n.find(); err != nil {
				return err
			}
			_, err := n.value()
			return err
		})
	})
	return derived, counted
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
