package enclave

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/secgear/secgear/sdk/tee"
)

// ErrSealed is matched by the error of [Enclave.Unseal] for everything that
// does not open here: altered, sealed by another image or signer, on another
// machine, for a higher security version, or with other associated data.
var ErrSealed = errors.New("sealed data does not open")

// Layout of sealed data, integers little-endian:
//
//	offset  bytes  content
//	0       8      magic "sgseal\x00\x01"; the last byte is the format's version
//	8       1      policy: 1 image, 2 signer
//	9       3      zero
//	12      4      security version that the key is bound to
//	16      32     salt that the key is derived with
//	48      N      ciphertext, as long as the plaintext
//	48+N    16     tag
//
// Cipher: AES-256-GCM under the TEE's sealing key for policy, version and salt.
// The salt is drawn anew for every message, so that no two messages share a key
// and the nonce (12 bytes) is always zero. Associated data: the header (48
// bytes) and then the caller's.
const (
	sealMagic  = "sgseal\x00\x01"
	sealHeader = 48
	sealTag    = 16

	maxSealed = (1<<32 - 2) * aes.BlockSize // GCM's bound, SP 800-38D

	// SealOverhead is by how many bytes sealed data is longer than its
	// plaintext.
	SealOverhead = sealHeader + sealTag
)

// Seal encrypts plaintext so that only policy's circle of images can open it, on
// this machine, and so that every change of it is noticed. With
// [tee.PolicySigner] these are the images of the same signer and name with this
// image's security version or a higher one. ad is associated data: not part of
// the result, but Unseal must be given the same. Which version of several is
// the latest, sealing can't tell: see [Enclave.Counter].
//
// Neither plaintext nor ad may be memory shared with the host, who could change
// it meanwhile.
func (e *Enclave) Seal(policy tee.Policy, plaintext, ad []byte) ([]byte, error) {
	return e.SealVersion(policy, e.id.Manifest.SecurityVersion, plaintext, ad)
}

// SealVersion is Seal with the least security version that can open the
// result: this image's own or, with [tee.PolicySigner], a lower one.
func (e *Enclave) SealVersion(policy tee.Policy, version uint32, plaintext, ad []byte) ([]byte, error) {
	if err := e.checkSealing(policy, version); err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	if uint64(len(plaintext)) > maxSealed {
		return nil, fmt.Errorf("sealing: %d bytes are more than %d", len(plaintext), uint64(maxSealed))
	}
	out := make([]byte, sealHeader, len(plaintext)+SealOverhead)
	copy(out, sealMagic)
	out[8] = byte(policy)
	binary.LittleEndian.PutUint32(out[12:], version)
	rand.Read(out[16:sealHeader]) // never fails, as documented
	aead, err := e.sealCipher(out)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return aead.Seal(out, zeroNonce[:], plaintext, sealedWith(out, ad)), nil
}

// checkSealing tells whether this image can seal for policy and version.
func (e *Enclave) checkSealing(policy tee.Policy, version uint32) error {
	own := e.id.Manifest.SecurityVersion
	switch {
	case policy != tee.PolicyImage && policy != tee.PolicySigner:
		return fmt.Errorf("unknown policy %d", policy)
	case version > own:
		return fmt.Errorf("security version %d is above this image's, %d", version, own)
	case policy == tee.PolicyImage && version != own:
		return fmt.Errorf("security version %d for this image only, whose version is %d", version, own)
	}
	return nil
}

// Unseal opens what Seal made and returns the plaintext. Its error matches
// [ErrSealed] and says why only as far as the header, which is public, tells.
//
// Neither sealed nor ad may be memory shared with the host, who could change it
// between the check and the decryption.
func (e *Enclave) Unseal(sealed, ad []byte) ([]byte, error) {
	if err := checkSealed(sealed); err != nil {
		return nil, fmt.Errorf("unsealing: %w", err)
	}
	policy, version := tee.Policy(sealed[8]), binary.LittleEndian.Uint32(sealed[12:])
	if err := e.checkSealing(policy, version); err != nil {
		return nil, fmt.Errorf("unsealing: %w: %w", ErrSealed, err)
	}
	header := sealed[:sealHeader:sealHeader]
	aead, err := e.sealCipher(header)
	if err != nil {
		return nil, fmt.Errorf("unsealing: %w", err)
	}
	plain, err := aead.Open(nil, zeroNonce[:], sealed[sealHeader:], sealedWith(header, ad))
	if err != nil {
		return nil, fmt.Errorf("unsealing: %w", ErrSealed)
	}
	return plain, nil
}

// checkSealed tells whether b can be sealed data.
func checkSealed(b []byte) error {
	switch {
	case len(b) < SealOverhead:
		return fmt.Errorf("%w: only %d bytes long", ErrSealed, len(b))
	case string(b[:8]) != sealMagic:
		return fmt.Errorf("%w: not in this format", ErrSealed)
	case b[9]|b[10]|b[11] != 0:
		return fmt.Errorf("%w: reserved bytes are set", ErrSealed)
	}
	return nil
}

// zeroNonce is right for a key that encrypts one message.
var zeroNonce [12]byte

// sealCipher returns the cipher for what the header says.
func (e *Enclave) sealCipher(header []byte) (cipher.AEAD, error) {
	p, ok := e.platform.(tee.SealingKeys)
	if !ok {
		return nil, e.lacks("sealing keys")
	}
	policy, version := tee.Policy(header[8]), binary.LittleEndian.Uint32(header[12:])
	key, err := p.SealingKey(policy, version, [32]byte(header[16:sealHeader]))
	if err != nil {
		return nil, fmt.Errorf("deriving the key: %w", err)
	}
	defer clear(key[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// sealedWith returns the associated data of a message.
func sealedWith(header, ad []byte) []byte {
	return append(header[:sealHeader:sealHeader], ad...)
}
