package tpm

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// A counter is an NV index of the TPM's type for counters, and nothing of it is
// anywhere else. Two things about those make it less simple than that:
//
// A new one begins where the highest counter that the TPM ever had ends, so that
// none is turned back by deleting it. What is returned is the difference to
// that, which must not change: it is in the index's policy, a field that is
// fixed when the index is made, and that says nothing else here, as the index
// is used by its password. The field is
//
//	base (8), HMAC-SHA256 over the counter's id and base, cut to 24 bytes
//
// with a key that only the launcher in its state can derive. So nobody else
// makes an index that passes for one of ours.
//
// And they have 32-bit numbers and no names. An index's number is a hash of the
// counter's id. If something else is there already, it is one of the next.
const (
	firstCounter = 0x01900000 // of those that the owner may use, away from others' low ones
	counterRange = 1 << 20
	counterTries = 8
)

// temporary is the base of an index that was made to learn the base.
const temporary = math.MaxUint64

// ErrFull: the TPM has no room for another counter.
var ErrFull = errors.New("the TPM has no room for another counter")

// counter is the use of one counter.
type counter struct {
	tpm  transport.TPM
	srk  key
	key  [32]byte // authenticates the field
	auth []byte   // password of the index
	id   [32]byte

	at    tpm2.TPMHandle // where it is, or can be
	index *nvIndex       // nil: it isn't
	base  uint64
}

// Counter reads the counter id, whose existence and password go with key.
// Nothing is written.
func (t *TPM) Counter(key, id [32]byte) (value uint64, err error) {
	err = t.withCounter("reading a counter", key, id, func(n *counter) error {
		value, err = n.value()
		return err
	})
	return value, err
}

// Increment adds one to a counter, which is made if it isn't there, and returns
// its new value.
func (t *TPM) Increment(key, id [32]byte) (value uint64, err error) {
	err = t.withCounter("incrementing a counter", key, id, func(n *counter) error {
		if !n.counts() {
			value = 1
			return n.make()
		}
		if err := n.increment(); err != nil {
			return err
		}
		value, err = n.value()
		return err
	})
	return value, err
}

func (t *TPM) withCounter(what string, secret, id [32]byte, f func(*counter) error) error {
	return t.use(what, func(c transport.TPM) error {
		return storage(c, func(srk key) error {
			n := &counter{tpm: c, srk: srk, id: id}
			n.key, n.auth = mac(secret, "field"), password(secret, id)
			if err := n.find(); err != nil {
				return err
			}
			return f(n)
		})
	})
}

func mac(key [32]byte, use string, data ...[]byte) [32]byte {
	h := hmac.New(sha256.New, key[:])
	h.Write([]byte(use))
	for _, d := range data {
		h.Write(d)
	}
	return [32]byte(h.Sum(nil))
}

// password is an index's password, in hexadecimal: go-tpm v0.9.8 cuts passwords
// at a zero byte wherever it is, and a TPM only trailing ones.
func password(secret, id [32]byte) []byte {
	sum := mac(secret, "password", id[:])
	return hex.AppendEncode(nil, sum[:16])
}

// field is what the index has in its policy.
func (n *counter) field(base uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, base)
	sum := mac(n.key, "counter", n.id[:], b)
	return append(b, sum[:24]...)
}

// find looks where the counter is, or can be.
func (n *counter) find() error {
	start := binary.BigEndian.Uint32(n.id[:])
	for i := range uint32(counterTries) {
		at := tpm2.TPMHandle(firstCounter + (start+i)%counterRange)
		index, err := lookNV(n.tpm, at)
		if err != nil {
			return err
		}
		if index == nil {
			if n.at == 0 {
				n.at = at
			}
			continue
		}
		field := index.public.AuthPolicy.Buffer
		if len(field) != 32 || index.public.Attributes.NT != tpm2.TPMNTCounter {
			continue
		}
		base := binary.BigEndian.Uint64(field)
		if hmac.Equal(field, n.field(base)) {
			n.at, n.index, n.base = at, index, base
			return nil
		}
	}
	if n.at == 0 {
		return fmt.Errorf("%w: others are where it could be", ErrFull)
	}
	return nil
}

// counts tells whether the counter was ever incremented. One whose making was
// interrupted was not.
func (n *counter) counts() bool {
	return n.index != nil && n.base != temporary && n.index.public.Attributes.Written
}

// value is the counter's value.
func (n *counter) value() (uint64, error) {
	if !n.counts() {
		return 0, nil
	}
	raw, err := n.raw()
	if err != nil {
		return 0, err
	}
	if raw <= n.base {
		return 0, fmt.Errorf("NV index %#x reads %d, and began at %d", n.at, raw, n.base)
	}
	return raw - n.base, nil
}

// proven is the index with its password, proven by a session.
func (n *counter) proven(options ...tpm2.AuthOption) tpm2.AuthHandle {
	options = append(options, tpm2.Auth(n.auth), tpm2.Salted(n.srk.handle, n.srk.public))
	return n.index.with(tpm2.HMAC(tpm2.TPMAlgSHA256, nonceSize, options...))
}

// raw is the TPM's own value.
func (n *counter) raw() (uint64, error) {
	got, err := tpm2.NVRead{AuthHandle: n.proven(), NVIndex: n.index.named(), Size: 8}.Execute(n.tpm)
	if err != nil {
		return 0, fmt.Errorf("NV index %#x: %w", n.at, err)
	}
	if len(got.Data.Buffer) != 8 {
		return 0, fmt.Errorf("NV index %#x: %d bytes", n.at, len(got.Data.Buffer))
	}
	return binary.BigEndian.Uint64(got.Data.Buffer), nil
}

func (n *counter) increment() error {
	_, err := tpm2.NVIncrement{AuthHandle: n.proven(), NVIndex: n.index.named()}.Execute(n.tpm)
	if err != nil {
		return fmt.Errorf("NV index %#x: %w", n.at, err)
	}
	n.index, err = lookNV(n.tpm, n.at) // the first one changes its name
	if err == nil && n.index == nil {
		err = fmt.Errorf("NV index %#x is gone", n.at)
	}
	return err
}

// make makes the counter, with the value 1: first one to learn where the TPM
// begins, then the one that counts. If others count at the same time, the
// beginning may be another when it is used, and everything is done again.
func (n *counter) make() error {
	for range 10 {
		first, err := n.define(temporary)
		if err != nil {
			return err
		}
		second, err := n.define(first)
		if err != nil {
			return err
		}
		if second == first+1 {
			return nil
		}
	}
	if err := n.undefine(); err != nil {
		return err
	}
	return errors.New("other counters don't stand still")
}

// define makes the index anew, with base in its field, increments it, and
// returns its value.
func (n *counter) define(base uint64) (raw uint64, err error) {
	if n.index != nil {
		if err := n.undefine(); err != nil {
			return 0, err
		}
	}
	_, err = tpm2.NVDefineSpace{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.HMAC(tpm2.TPMAlgSHA256, nonceSize, secret(n.srk, in{})...)},
		Auth:       tpm2.TPM2BAuth{Buffer: n.auth},
		PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{
			NVIndex: n.at, NameAlg: tpm2.TPMAlgSHA256, DataSize: 8,
			Attributes: tpm2.TPMANV{AuthRead: true, AuthWrite: true, NoDA: true, NT: tpm2.TPMNTCounter},
			AuthPolicy: tpm2.TPM2BDigest{Buffer: n.field(base)},
		}),
	}.Execute(n.tpm)
	if errors.Is(err, tpm2.TPMRCNVSpace) {
		return 0, fmt.Errorf("%w: %w", ErrFull, err)
	}
	if err != nil {
		return 0, fmt.Errorf("defining NV index %#x: %w", n.at, err)
	}
	if n.index, err = lookNV(n.tpm, n.at); err != nil {
		return 0, err
	}
	n.base = base
	if err := n.increment(); err != nil {
		return 0, err
	}
	return n.raw()
}

func (n *counter) undefine() error {
	_, err := tpm2.NVUndefineSpace{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
		NVIndex:    n.index.named(),
	}.Execute(n.tpm)
	if err != nil {
		return fmt.Errorf("removing NV index %#x: %w", n.at, err)
	}
	n.index = nil
	return nil
}
