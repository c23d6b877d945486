package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/secgear/secgear/examples/vault"
	"github.com/secgear/secgear/sdk/enclave"
	"github.com/secgear/secgear/sdk/tee"
)

// sealKey makes the header of a file with that key.
//
// The policy is tee.PolicySigner: the key opens in every image that has the same
// signer, the same name and at least this security version, so that an update of
// the enclave can read the files of its predecessors, and an old image with a
// known weakness can't read new ones. With tee.PolicyImage every new build,
// were it for a comma, would lose all files.
func (s *service) sealKey(key []byte) (header vault.Header, err error) {
	sealed, err := s.enclave.Seal(tee.PolicySigner, key, []byte(vault.Magic))
	if errors.Is(err, errors.ErrUnsupported) {
		return s.temporary.seal(key)
	}
	copy(header[copy(header[:], vault.Magic):], sealed)
	return header, err
}

// openKey returns the key in a header.
func (s *service) openKey(header vault.Header) ([]byte, error) {
	if string(header[:len(vault.Magic)]) == vault.TemporaryMagic {
		return s.temporary.open(header)
	}
	if string(header[:len(vault.Magic)]) != vault.Magic {
		return nil, vault.ErrHeader
	}
	key, err := s.enclave.Unseal(header[len(vault.Magic):], []byte(vault.Magic))
	if errors.Is(err, enclave.ErrSealed) {
		return nil, fmt.Errorf("%w: %w", vault.ErrHeader, err)
	}
	return key, err
}

// temporary seals files' keys where the TEE has no sealing keys: with a key that
// is lost with the enclave, and with it the files. A header is then
//
//	8   vault.TemporaryMagic
//	12  nonce
//	48  the file's key, AES-256-GCM
//	…   zero
type temporary struct {
	once sync.Once
	aead cipher.AEAD
}

// start draws the key.
func (t *temporary) start() cipher.AEAD {
	t.once.Do(func() {
		var key [keySize]byte
		defer clear(key[:])
		rand.Read(key[:]) // never fails, as documented
		block, err := aes.NewCipher(key[:])
		if err != nil {
			panic(err) // for no key of that size
		}
		if t.aead, err = cipher.NewGCM(block); err != nil {
			panic(err) // for no block cipher of AES's size
		}
	})
	return t.aead
}

const (
	nonceSize     = 12
	temporarySize = len(vault.TemporaryMagic) + nonceSize + keySize + 16
)

func (t *temporary) seal(key []byte) (header vault.Header, err error) {
	b := append(header[:0], vault.TemporaryMagic...)
	b = b[:len(b)+nonceSize]
	nonce := b[len(b)-nonceSize:]
	rand.Read(nonce)
	t.start().Seal(b, nonce, key, []byte(vault.TemporaryMagic))
	return header, nil
}

func (t *temporary) open(header vault.Header) ([]byte, error) {
	sealed := header[len(vault.TemporaryMagic):temporarySize]
	key, err := t.start().Open(nil, sealed[:nonceSize], sealed[nonceSize:], []byte(vault.TemporaryMagic))
	if err != nil || !bytes.Equal(header[temporarySize:], make([]byte, len(header)-temporarySize)) {
		return nil, vault.ErrHeader
	}
	return key, nil
}
