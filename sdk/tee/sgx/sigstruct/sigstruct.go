// Package sigstruct reads, makes, signs and verifies SIGSTRUCT, the structure by
// which the author of an SGX enclave says what enclave it is and that it is theirs
// (Intel SDM volume 3D, "Enclave Signature Structure (SIGSTRUCT)").
//
// It is pure: no hardware, no files.
package sigstruct

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// Sizes in bytes.
const (
	Size       = 1808 // of a SIGSTRUCT
	keySize    = 384  // of an RSA modulus of 3072 bits
	headSize   = 128  // of the first signed part
	bodyOffset = 900  // of the second signed part
	bodySize   = 128
)

// exponent is the public exponent of every key that signs enclaves.
const exponent = 3

// The constant parts.
var (
	header1 = []byte{6, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0}
	header2 = []byte{1, 1, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 1, 0, 0, 0}
)

// ErrFormat is matched by errors about bytes that are no SIGSTRUCT.
var ErrFormat = errors.New("malformed SIGSTRUCT")

// ErrSignature is matched by errors about a SIGSTRUCT whose signature does not
// hold.
var ErrSignature = errors.New("the SIGSTRUCT's signature does not hold")

// Attributes are the ATTRIBUTES of an enclave: what it may do, and which parts of
// the processor's state it uses.
type Attributes struct{ Flags, XFRM uint64 }

// Flags of Attributes.
const (
	FlagDebug  = 1 << 1 // the enclave can be looked into
	FlagMode64 = 1 << 2
)

// Body is what the author signs.
type Body struct {
	Vendor        uint32 // 0, or 0x8086 for Intel's own
	Date          uint32 // 0x20260131 is the 31st of January 2026
	SWDefined     uint32
	MiscSelect    uint32
	MiscMask      uint32
	CET, CETMask  uint8
	FamilyID      [16]byte
	Attributes    Attributes
	AttributeMask Attributes
	MRENCLAVE     [32]byte
	ExtProdID     [16]byte
	ProdID        uint16
	SVN           uint16
}

// Sigstruct is a Body with its signature. Numbers are in little-endian order, as
// in the structure.
type Sigstruct struct {
	Body
	Modulus, Signature [keySize]byte
	Q1, Q2             [keySize]byte // spare the processor two divisions
}

// Message returns what is signed: the first 128 bytes of the structure,
//
//	0   header 1, vendor (4), date (4)
//	24  header 2, software defined (4), 84 zero bytes
//
// and 128 bytes from offset 900 on,
//
//	900  MISCSELECT (4), its mask (4), CET_ATTRIBUTES (1), its mask (1), 2 zero bytes
//	912  ISVFAMILYID (16), ATTRIBUTES (16), ATTRIBUTEMASK (16), MRENCLAVE (32)
//	992  16 zero bytes, ISVEXTPRODID (16), ISVPRODID (2), ISVSVN (2)
func (b *Body) Message() []byte {
	le := binary.LittleEndian
	m := append(make([]byte, 0, headSize+bodySize), header1...)
	m = le.AppendUint32(m, b.Vendor)
	m = le.AppendUint32(m, b.Date)
	m = append(m, header2...)
	m = le.AppendUint32(m, b.SWDefined)
	m = append(m, make([]byte, headSize-len(m))...)
	m = le.AppendUint32(m, b.MiscSelect)
	m = le.AppendUint32(m, b.MiscMask)
	m = append(m, b.CET, b.CETMask, 0, 0)
	m = append(m, b.FamilyID[:]...)
	for _, a := range []Attributes{b.Attributes, b.AttributeMask} {
		m = le.AppendUint64(m, a.Flags)
		m = le.AppendUint64(m, a.XFRM)
	}
	m = append(m, b.MRENCLAVE[:]...)
	m = append(m, make([]byte, 16)...)
	m = append(m, b.ExtProdID[:]...)
	m = le.AppendUint16(m, b.ProdID)
	return le.AppendUint16(m, b.SVN)
}

// Digest returns what the signature's RSA operation is over: the SHA-256 of
// Message.
func (b *Body) Digest() [sha256.Size]byte { return sha256.Sum256(b.Message()) }

// Sign signs b with key, an RSA key of 3072 bits whose public exponent is 3.
func Sign(b Body, key crypto.Signer) (*Sigstruct, error) {
	public, ok := key.Public().(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("signing an enclave: the key is a %T: SGX takes RSA only", key.Public())
	}
	if err := checkKey(public); err != nil {
		return nil, fmt.Errorf("signing an enclave: %w", err)
	}
	digest := b.Digest()
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("signing an enclave: %w", err)
	}
	return WithSignature(b, public, signature)
}

// WithSignature is the second step where the key is kept elsewhere: signature is
// PKCS #1 v1.5 over Digest. It is verified.
func WithSignature(b Body, public *rsa.PublicKey, signature []byte) (*Sigstruct, error) {
	if err := checkKey(public); err != nil {
		return nil, err
	}
	if len(signature) != keySize {
		return nil, fmt.Errorf("%w: it has %d bytes instead of %d", ErrSignature, len(signature), keySize)
	}
	s := &Sigstruct{Body: b, Modulus: little(public.N), Signature: little(new(big.Int).SetBytes(signature))}
	if err := s.verifySignature(); err != nil {
		return nil, err
	}
	s.Q1, s.Q2 = s.quotients()
	return s, nil
}

// checkKey refuses keys that no processor takes.
func checkKey(k *rsa.PublicKey) error {
	if n := k.N.BitLen(); n != 8*keySize || k.E != exponent {
		return fmt.Errorf("an RSA key of %d bits with the exponent %d: SGX takes 3072 bits and 3 (openssl genrsa -3 3072)", n, k.E)
	}
	return nil
}

// Encode returns the structure's bytes:
//
//	0     signed, see Message
//	128   modulus (384), exponent (4), signature (384)
//	900   signed, see Message
//	1028  12 zero bytes, Q1 (384), Q2 (384)
func (s *Sigstruct) Encode() []byte {
	m := s.Message()
	b := append(make([]byte, 0, Size), m[:headSize]...)
	b = append(b, s.Modulus[:]...)
	b = binary.LittleEndian.AppendUint32(b, exponent)
	b = append(b, s.Signature[:]...)
	b = append(b, m[headSize:]...)
	b = append(b, make([]byte, 12)...)
	b = append(b, s.Q1[:]...)
	return append(b, s.Q2[:]...)
}

// Parse reads a SIGSTRUCT, and nothing that Encode would write otherwise. Whether
// it is signed right is for [Sigstruct.Verify] to say.
func Parse(b []byte) (*Sigstruct, error) {
	if len(b) != Size {
		return nil, fmt.Errorf("%w: %d bytes instead of %d", ErrFormat, len(b), Size)
	}
	le := binary.LittleEndian
	s := &Sigstruct{Modulus: [keySize]byte(b[128:512]), Signature: [keySize]byte(b[516:900])}
	s.Vendor, s.Date, s.SWDefined = le.Uint32(b[16:]), le.Uint32(b[20:]), le.Uint32(b[40:])
	s.MiscSelect, s.MiscMask, s.CET, s.CETMask = le.Uint32(b[900:]), le.Uint32(b[904:]), b[908], b[909]
	s.FamilyID = [16]byte(b[912:928])
	s.Attributes = Attributes{le.Uint64(b[928:]), le.Uint64(b[936:])}
	s.AttributeMask = Attributes{le.Uint64(b[944:]), le.Uint64(b[952:])}
	s.MRENCLAVE, s.ExtProdID = [32]byte(b[960:992]), [16]byte(b[1008:1024])
	s.ProdID, s.SVN = le.Uint16(b[1024:]), le.Uint16(b[1026:])
	s.Q1, s.Q2 = [keySize]byte(b[1040:1424]), [keySize]byte(b[1424:1808])
	if e := le.Uint32(b[512:]); e != exponent {
		return nil, fmt.Errorf("%w: the exponent is %d instead of %d", ErrFormat, e, exponent)
	}
	if again := s.Encode(); !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w: at offset %d is %#02x instead of %#02x", ErrFormat, differ(again, b), b[differ(again, b)], again[differ(again, b)])
	}
	return s, nil
}

// differ is where two equally long texts that are not the same begin to differ.
func differ(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return 0
}

// Verify checks, as the processor does at EINIT, that the modulus has 3072 bits,
// that the signature holds and that Q1 and Q2 belong to it. Whose key it is, is
// for the caller to judge: see [Sigstruct.MRSIGNER].
func (s *Sigstruct) Verify() error {
	if n := number(s.Modulus).BitLen(); n != 8*keySize {
		return fmt.Errorf("%w: a modulus of %d bits", ErrSignature, n)
	}
	if err := s.verifySignature(); err != nil {
		return err
	}
	if q1, q2 := s.quotients(); q1 != s.Q1 || q2 != s.Q2 {
		return fmt.Errorf("%w: Q1 or Q2 is wrong", ErrSignature)
	}
	return nil
}

func (s *Sigstruct) verifySignature() error {
	digest := s.Digest()
	if err := rsa.VerifyPKCS1v15(s.Key(), crypto.SHA256, digest[:], reversed(s.Signature)); err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return nil
}

// quotients returns Q1 = ⌊S²/M⌋ and Q2 = ⌊(S³ − Q1·S·M)/M⌋ of a signature S that is
// less than the modulus M, which is not zero.
func (s *Sigstruct) quotients() (q1, q2 [keySize]byte) {
	m, sig := number(s.Modulus), number(s.Signature)
	first, rest := new(big.Int).QuoRem(new(big.Int).Mul(sig, sig), m, new(big.Int))
	second := new(big.Int).Quo(rest.Mul(rest, sig), m)
	return little(first), little(second)
}

// Key is the author's public key.
func (s *Sigstruct) Key() *rsa.PublicKey { return &rsa.PublicKey{N: number(s.Modulus), E: exponent} }

// MRSIGNER is the author's identity: the SHA-256 of the modulus.
func (s *Sigstruct) MRSIGNER() [sha256.Size]byte { return sha256.Sum256(s.Modulus[:]) }

// number is the value of little-endian bytes.
func number(b [keySize]byte) *big.Int { return new(big.Int).SetBytes(reversed(b)) }

func reversed(b [keySize]byte) []byte {
	slices.Reverse(b[:])
	return b[:]
}

// little is a number that has room in it, in little-endian bytes.
func little(n *big.Int) (b [keySize]byte) {
	n.FillBytes(b[:])
	slices.Reverse(b[:])
	return b
}
