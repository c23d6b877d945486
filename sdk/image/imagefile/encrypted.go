package imagefile

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/secgear/secgear/sdk/image"
)

// An image of format version 2 has an encrypted program. Where the program
// stands in version 1 there is, integers little-endian:
//
//	offset  bytes  content
//	0       2      cipher: 1, AES-256-GCM in chunks
//	2       2      machine that the program is for, as ELF numbers it
//	4       4      zero
//	8       32     key ID: SHA-256 over "secgear image key ID" and the key
//	40      32     salt
//	72      …      the program in chunks of 64 KiB, the last one of 1 byte to
//	               64 KiB, each followed by its tag of 16 bytes
//
// Chunks are a STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015): the nonce of
// each is its number, from 0, in 11 bytes big-endian, and one byte, which is 1
// for the last chunk and 0 for others. So none can be moved, left out or added.
//
// Their associated data, the context, is SHA-256 over
//
//	23      "secgear encrypted image"
//	4       format version
//	8       M
//	M       manifest
//	72      the part above, before the chunks
//
// and the salt is HMAC-SHA256, under the key derived for salts, over the context
// as it is with a salt of zeros, and SHA-256 of the program. Keys are derived by
// HKDF-SHA256 (RFC 5869) from the image key:
//
//	for salts     with no salt, info "secgear image salt"
//	for chunks    with the salt, info "secgear image program"
//
// The same image and key give the same bytes. That is safe because no two
// different inputs share a key for chunks: it follows from the salt, and that
// from all of the input, as in SIV (RFC 5297). A nonce occurs twice under one
// key only when everything is the same, and then so is the result.
const (
	encryptedVersion = 2

	cipherAES256GCM = 1
	cipherHeader    = 72
	keyIDAt         = 8
	saltAt          = 40
	saltSize        = 32
	chunkSize       = 64 << 10
	tagSize         = 16

	keyIDDomain   = "secgear image key ID"
	contextDomain = "secgear encrypted image"
	saltInfo      = "secgear image salt"
	programInfo   = "secgear image program"
)

// Cipher is the name of what programs are encrypted with.
const Cipher = "AES-256-GCM"

var (
	// ErrKey: the image was encrypted with another key.
	ErrKey = errors.New("wrong image key")
	// ErrDecrypt: the key is the right one, but the program is not what was
	// encrypted with it, or what the image says in clear is not.
	ErrDecrypt = errors.New("encrypted program was altered, or belongs to another image")
)

// KeyIDOf returns the ID of key, which is not zero.
func KeyIDOf(key image.Key) image.KeyID {
	var b [len(keyIDDomain) + image.KeySize]byte // on the stack, which is used again soon
	defer clear(b[:])
	copy(b[:], keyIDDomain)
	copy(b[len(keyIDDomain):], key.Secret())
	return sha256.Sum256(b[:])
}

// Encrypt returns img, which is not signed, with its program encrypted, to be
// signed then. The manifest stays readable, and bound to the program. The same
// image and key give the same bytes; so whoever sees two images that were
// encrypted with one key sees whether they are the same, and how large the
// program is.
func Encrypt(img []byte, key image.Key) ([]byte, error) {
	f, err := Parse(img)
	if err != nil {
		return nil, err
	}
	switch {
	case f.Signature != nil:
		return nil, errors.New("encrypting image: it is signed, and the signature would not hold: encrypt first, then sign")
	case f.Encrypted != nil:
		return nil, errors.New("encrypting image: it is encrypted already")
	case key.IsZero():
		return nil, errors.New("encrypting image: no key")
	}
	body, err := encryptProgram(f, key)
	if err != nil {
		return nil, fmt.Errorf("encrypting image: %w", err)
	}
	f.version, f.body = encryptedVersion, body
	f.Digest = digestOf(f.version, f.raw, body)
	return f.encode(), nil
}

// encryptProgram returns the program of f as it is stored.
func encryptProgram(f *File, key image.Key) ([]byte, error) {
	chunks := (len(f.Program) + chunkSize - 1) / chunkSize
	size := cipherHeader + len(f.Program) + chunks*tagSize
	if size > MaxProgram {
		return nil, fmt.Errorf("program of %d bytes is larger than %d when encrypted", len(f.Program), MaxProgram)
	}
	le := binary.LittleEndian
	id := KeyIDOf(key)
	out := make([]byte, cipherHeader, size)
	le.PutUint16(out, cipherAES256GCM)
	le.PutUint16(out[2:], elfMachine(f.Arch))
	copy(out[keyIDAt:], id[:])
	salt, err := saltOf(key, contextOf(f.raw, out), f.Program)
	if err != nil {
		return nil, err
	}
	copy(out[saltAt:], salt)
	s, err := newStream(key, f.raw, out)
	if err != nil {
		return nil, err
	}
	for i, rest := 0, f.Program; len(rest) > 0; i++ {
		n := min(len(rest), chunkSize)
		out = s.aead.Seal(out, nonce(i, n == len(rest)), rest[:n], s.context)
		rest = rest[n:]
	}
	return out, nil
}

// contextOf returns the associated data of chunks, given what is in clear.
func contextOf(manifest, head []byte) []byte {
	le := binary.LittleEndian
	h := sha256.New()
	h.Write(le.AppendUint32([]byte(contextDomain), encryptedVersion))
	h.Write(le.AppendUint64(nil, uint64(len(manifest))))
	h.Write(manifest)
	h.Write(head[:cipherHeader])
	return h.Sum(nil)
}

// saltOf returns the salt for a program, given its context with a salt of zeros.
func saltOf(key image.Key, context, program []byte) ([]byte, error) {
	derived, err := hkdf.Key(sha256.New, key.Secret(), nil, saltInfo, sha256.Size)
	if err != nil {
		return nil, err
	}
	defer clear(derived)
	sum := sha256.Sum256(program)
	mac := hmac.New(sha256.New, derived)
	mac.Write(context)
	mac.Write(sum[:])
	return mac.Sum(nil), nil
}

// stream encrypts or decrypts the chunks of one program.
type stream struct {
	aead    cipher.AEAD
	context []byte
}

// newStream returns the stream for a program, given what is in clear.
func newStream(key image.Key, manifest, head []byte) (*stream, error) {
	derived, err := hkdf.Key(sha256.New, key.Secret(), head[saltAt:saltAt+saltSize], programInfo, 32)
	if err != nil {
		return nil, err
	}
	defer clear(derived)
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &stream{aead, contextOf(manifest, head)}, nil
}

// nonce is that of chunk number i.
func nonce(i int, last bool) []byte {
	b := make([]byte, 12)
	binary.BigEndian.PutUint64(b[3:], uint64(i))
	if last {
		b[11] = 1
	}
	return b
}

// parseEncrypted reads what an encrypted program says of itself. The result
// refers to body.
func parseEncrypted(body []byte) (e *image.Encrypted, arch string, err error) {
	if len(body) < cipherHeader {
		return nil, "", fmt.Errorf("encrypted program of %d bytes has no header", len(body))
	}
	le := binary.LittleEndian
	if c := le.Uint16(body); c != cipherAES256GCM {
		return nil, "", fmt.Errorf("cipher %d, known is %d (%s)", c, cipherAES256GCM, Cipher)
	}
	machine := le.Uint16(body[2:])
	if arch = elfMachines[machine]; arch == "" {
		return nil, "", fmt.Errorf("ELF machine %d is none of amd64, arm64, riscv64", machine)
	}
	if !bytes.Equal(body[4:8], make([]byte, 4)) {
		return nil, "", errors.New("reserved bytes are not zero")
	}
	const stored = chunkSize + tagSize
	rest := len(body) - cipherHeader
	if last := rest % stored; rest == 0 || last > 0 && last <= tagSize {
		return nil, "", fmt.Errorf("encrypted program of %d bytes does not end with a whole chunk", len(body))
	}
	size := rest - (rest+stored-1)/stored*tagSize
	return &image.Encrypted{KeyID: image.KeyID(body[keyIDAt:saltAt]), Size: size, Ciphertext: body}, arch, nil
}

// Decrypt writes the program of img, an encrypted image, to dst, which has
// img.Encrypted.Size bytes, and makes sure that it is an executable as [Build]
// takes it, for img.Arch. It goes through the program once, from its beginning,
// and allocates nothing of its size.
//
// The error matches [ErrFormat], [ErrKey] or [ErrDecrypt]; dst is zero then.
// Until Decrypt has returned nothing in dst is to be used.
func Decrypt(img *image.Image, key image.Key, dst []byte) error {
	err := decrypt(img, key, dst)
	if err != nil {
		clear(dst)
		return fmt.Errorf("decrypting image %s: %w", img.Manifest.Name, err)
	}
	return nil
}

func decrypt(img *image.Image, key image.Key, dst []byte) error {
	if img.Encrypted == nil {
		return errors.New("it is not encrypted")
	}
	body := img.Encrypted.Ciphertext
	e, arch, err := parseEncrypted(body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if len(dst) != e.Size {
		return fmt.Errorf("room for %d bytes instead of %d", len(dst), e.Size)
	}
	if key.IsZero() {
		return fmt.Errorf("%w: it takes key %v, there is none", ErrKey, e.KeyID)
	}
	if id := KeyIDOf(key); id != e.KeyID {
		return fmt.Errorf("%w: it takes key %v, this is %v", ErrKey, e.KeyID, id)
	}
	manifest, err := img.Manifest.Canonical()
	if err != nil {
		return err
	}
	s, err := newStream(key, manifest, body)
	if err != nil {
		return err
	}
	if err := s.open(dst, body[cipherHeader:]); err != nil {
		return err
	}
	found, err := checkProgram(dst)
	if err == nil && (found != arch || arch != img.Arch) {
		err = fmt.Errorf("it is for %s, the image says %s", found, img.Arch)
	}
	if err != nil {
		return fmt.Errorf("%w: program: %w", ErrFormat, err)
	}
	return nil
}

// open decrypts chunks to dst, which has their size.
func (s *stream) open(dst, chunks []byte) error {
	for i := 0; len(dst) > 0; i++ {
		n := min(len(dst), chunkSize)
		stored := chunks[:n+tagSize]
		if _, err := s.aead.Open(dst[:0:n], nonce(i, n == len(dst)), stored, s.context); err != nil {
			return fmt.Errorf("%w: chunk %d does not authenticate", ErrDecrypt, i)
		}
		dst, chunks = dst[n:], chunks[n+tagSize:]
	}
	return nil
}
