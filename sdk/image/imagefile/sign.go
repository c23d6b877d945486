package imagefile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	_ "crypto/sha512" // for crypto.SHA384
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/secgear/secgear/sdk/image"
)

// Algorithm says how an image was signed.
type Algorithm uint16

// Algorithms that images can be signed with. All of them are at home in
// hardware security modules.
const (
	Ed25519   Algorithm = 1 // RFC 8032, over the message itself
	ECDSAP256 Algorithm = 2 // with SHA-256, signature in DER
	ECDSAP384 Algorithm = 3 // with SHA-384, signature in DER
)

// algorithm is what there is to know about an Algorithm.
type algorithm struct {
	name     string
	hash     crypto.Hash    // of the message, before it is signed; 0: none
	curve    elliptic.Curve // for ECDSA
	prefix   string         // of the PKIX encoding; the key's own bytes follow
	key      int            // size of the key's own bytes
	min, max int            // size of a signature
}

var algorithms = map[Algorithm]algorithm{
	Ed25519: {
		name: "Ed25519", key: 32, min: 64, max: 64,
		prefix: "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00",
	},
	ECDSAP256: {
		name: "ECDSA-P256-SHA256", hash: crypto.SHA256, curve: elliptic.P256(), key: 65, min: 8, max: 72,
		prefix: "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01" +
			"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00",
	},
	ECDSAP384: {
		name: "ECDSA-P384-SHA384", hash: crypto.SHA384, curve: elliptic.P384(), key: 97, min: 8, max: maxSignature,
		prefix: "\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01" +
			"\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00",
	},
}

// input returns what the key signs for message: its hash, if there is one.
func (a algorithm) input(message []byte) []byte {
	if a.hash == 0 {
		return message
	}
	h := a.hash.New()
	h.Write(message)
	return h.Sum(nil)
}

// String returns the algorithm's name, as "ECDSA-P256-SHA256".
func (a Algorithm) String() string {
	if info, ok := algorithms[a]; ok {
		return info.name
	}
	return fmt.Sprintf("algorithm %d", uint16(a))
}

// sizesOK tells whether a public key and a signature can have these sizes.
func (a Algorithm) sizesOK(publicKey, signature int) bool {
	info, ok := algorithms[a]
	if !ok {
		return a == 0 && publicKey == 0 && signature == 0
	}
	return publicKey == len(info.prefix)+info.key && signature >= info.min && signature <= info.max
}

// Signature is who claims to have signed an image, and the proof.
type Signature struct {
	Algorithm Algorithm
	PublicKey []byte // PKIX, DER
	Bytes     []byte // 64 bytes (Ed25519), or DER (ECDSA)
}

// Signer returns the ID of the key that the signature claims to be made with.
func (s *Signature) Signer() image.SignerID { return sha256.Sum256(s.PublicKey) }

// verify tells whether s is a signature over message.
func (s *Signature) verify(message []byte) error {
	info := algorithms[s.Algorithm]
	key, ok := bytes.CutPrefix(s.PublicKey, []byte(info.prefix))
	if !ok || s.Algorithm == 0 || !s.Algorithm.sizesOK(len(s.PublicKey), len(s.Bytes)) {
		return fmt.Errorf("%w: not a key and signature for %v", ErrSignature, s.Algorithm)
	}
	var valid bool
	if info.curve == nil {
		valid = ed25519.Verify(key, message, s.Bytes)
	} else {
		pub, err := ecdsa.ParseUncompressedPublicKey(info.curve, key)
		if err != nil {
			return fmt.Errorf("%w: public key: %w", ErrSignature, err)
		}
		valid = ecdsa.VerifyASN1(pub, info.input(message), s.Bytes)
	}
	if !valid {
		return ErrSignature
	}
	return nil
}

// encodeKey returns the algorithm for a public key and its PKIX encoding.
func encodeKey(pub crypto.PublicKey) (Algorithm, []byte, error) {
	var a Algorithm
	var key []byte
	switch pub := pub.(type) {
	case ed25519.PublicKey:
		a, key = Ed25519, pub
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P256():
			a = ECDSAP256
		case elliptic.P384():
			a = ECDSAP384
		default:
			return 0, nil, errors.New("ECDSA key is on neither P-256 nor P-384")
		}
		var err error
		if key, err = pub.Bytes(); err != nil {
			return 0, nil, fmt.Errorf("public key: %w", err)
		}
	default:
		return 0, nil, fmt.Errorf("key of type %T is neither Ed25519 nor ECDSA", pub)
	}
	info := algorithms[a]
	if len(key) != info.key {
		return 0, nil, fmt.Errorf("%v key of %d bytes", a, len(key))
	}
	return a, append([]byte(info.prefix), key...), nil
}

// SignerOf returns the ID that images signed with pub's private key carry. pub
// is an [ed25519.PublicKey] or a [*ecdsa.PublicKey] on P-256 or P-384.
func SignerOf(pub crypto.PublicKey) (image.SignerID, error) {
	_, key, err := encodeKey(pub)
	if err != nil {
		return image.SignerID{}, err
	}
	return sha256.Sum256(key), nil
}

// message returns the bytes that are signed.
func (f *File) message() []byte {
	b := binary.LittleEndian.AppendUint32([]byte(signDomain), f.version)
	return append(b, f.Digest[:]...)
}

// Verify checks the signature, and returns the image ready to be loaded. Its
// error matches [ErrUnsigned] or [ErrSignature].
func (f *File) Verify() (*image.Image, error) {
	if f.Signature == nil {
		return nil, ErrUnsigned
	}
	if err := f.Signature.verify(f.message()); err != nil {
		return nil, err
	}
	return &image.Image{
		Manifest: f.Manifest, Program: f.Program, Encrypted: f.Encrypted, Arch: f.Arch, Digest: f.Digest, Signer: f.Signature.Signer(),
	}, nil
}

// Verify parses an image and checks its signature. The result refers to data.
// Its error matches [ErrFormat], [ErrAltered], [ErrUnsigned] or [ErrSignature].
func Verify(data []byte) (*image.Image, error) {
	f, err := Parse(data)
	if err != nil {
		return nil, err
	}
	return f.Verify()
}

// SigningMessage returns the bytes to be signed for an image, for keys that
// are kept elsewhere: with Ed25519 as they are, with ECDSA after SHA-256
// (P-256) or SHA-384 (P-384). The result of that goes to [Attach].
func SigningMessage(img []byte) ([]byte, error) {
	f, err := Parse(img)
	if err != nil {
		return nil, err
	}
	return f.message(), nil
}

// Attach returns img signed with sig, which the holder of pub's private key
// made over [SigningMessage]: 64 bytes for Ed25519, DER for ECDSA. A signature
// that img has already is replaced. A sig that does not hold is refused with
// an error that matches [ErrSignature].
func Attach(img []byte, pub crypto.PublicKey, sig []byte) ([]byte, error) {
	f, err := Parse(img)
	if err != nil {
		return nil, err
	}
	return f.attach(pub, sig)
}

func (f *File) attach(pub crypto.PublicKey, sig []byte) ([]byte, error) {
	a, key, err := encodeKey(pub)
	if err != nil {
		return nil, err
	}
	f.Signature = &Signature{a, key, sig}
	if err := f.Signature.verify(f.message()); err != nil {
		return nil, err
	}
	return f.encode(), nil
}

// Sign returns img signed with key, whose public half is as for [SignerOf]. A
// signature that img has already is replaced.
func Sign(img []byte, key crypto.Signer) ([]byte, error) {
	f, err := Parse(img)
	if err != nil {
		return nil, err
	}
	a, _, err := encodeKey(key.Public())
	if err != nil {
		return nil, err
	}
	info := algorithms[a]
	sig, err := key.Sign(rand.Reader, info.input(f.message()), info.hash)
	if err != nil {
		return nil, fmt.Errorf("signing image: %w", err)
	}
	return f.attach(key.Public(), sig)
}
