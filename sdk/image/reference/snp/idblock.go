package snp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"math/big"
)

// IDBlock is what the owner of a guest signs for its launch: the secure processor
// starts the guest only if the launch digest is this one, and evidence then names
// the keys (table 75).
type IDBlock struct {
	Launch  Digest
	Family  [16]byte // FAMILY_ID in evidence
	Image   [16]byte // IMAGE_ID
	Version uint32   // GUEST_SVN
	Policy  uint64   // POLICY, which the launch has to have
}

// Bytes returns the block as the secure processor takes it.
func (b IDBlock) Bytes() []byte {
	const version = 1
	out := append([]byte(nil), b.Launch[:]...)
	out = append(append(out, b.Family[:]...), b.Image[:]...)
	out = binary.LittleEndian.AppendUint32(out, version)
	out = binary.LittleEndian.AppendUint32(out, b.Version)
	return binary.LittleEndian.AppendUint64(out, b.Policy)
}

// sizes of the secure processor's form of keys and signatures (tables 115, 118).
const (
	scalarSize    = 72 // little-endian
	publicKeySize = 0x404
	signatureSize = 0x200
	idAuthSize    = 4096
)

// KeyDigest returns how evidence names a key, ID_KEY_DIGEST or AUTHOR_KEY_DIGEST.
// It has to be of the curve P-384.
func KeyDigest(key *ecdsa.PublicKey) (Digest, error) {
	b, err := publicKey(key)
	if err != nil {
		return Digest{}, err
	}
	return sha512.Sum384(b), nil
}

// publicKey writes a key: curve (4 bytes, 2 for P-384), coordinates, zeros.
func publicKey(key *ecdsa.PublicKey) ([]byte, error) {
	if key.Curve != elliptic.P384() {
		return nil, fmt.Errorf("a key of the curve %s can't sign ID blocks: it has to be P-384", key.Curve.Params().Name)
	}
	point, err := key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encoding key: %w", err)
	}
	const size = 48
	b := make([]byte, publicKeySize)
	b[0] = 2
	putReversed(b[4:], point[1:1+size])
	putReversed(b[4+scalarSize:], point[1+size:])
	return b, nil
}

// putReversed writes a big-endian number little-endian.
func putReversed(dst, number []byte) {
	for i, c := range number {
		dst[len(number)-1-i] = c
	}
}

// Sign returns the ID authentication information structure (table 76): the block
// signed by the ID key, and that key signed by author, if there is one. Both keys
// are of the curve P-384.
//
//	offset size
//	     0    4 algorithm of the ID key: 1, ECDSA P-384 with SHA-384
//	     4    4 algorithm of the author key: the same, or 0
//	    64  512 signature of the ID block
//	   576 1028 ID key
//	  1664  512 signature of the ID key
//	  2176 1028 author key
func (b IDBlock) Sign(id, author crypto.Signer) ([]byte, error) {
	out := make([]byte, idAuthSize)
	out[0] = 1
	key, err := signInto(out[64:], out[576:], id, b.Bytes())
	if err != nil || author == nil {
		return out, err
	}
	out[4] = 1
	_, err = signInto(out[1664:], out[2176:], author, key)
	return out, err
}

// signInto writes a signature of message and the key that made it, which it
// returns.
func signInto(signature, key []byte, signer crypto.Signer, message []byte) ([]byte, error) {
	public, ok := signer.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a %T can't sign ID blocks: it has to be ECDSA P-384", signer.Public())
	}
	encoded, err := publicKey(public)
	if err != nil {
		return nil, err
	}
	sum := sha512.Sum384(message)
	der, err := signer.Sign(rand.Reader, sum[:], crypto.SHA384)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	var pair struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &pair); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("signing: the key's signature is not in DER")
	}
	putReversed(signature[:scalarSize], pair.R.FillBytes(make([]byte, scalarSize)))
	putReversed(signature[scalarSize:], pair.S.FillBytes(make([]byte, scalarSize)))
	copy(key, encoded)
	return encoded, nil
}
