package imagefile

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/secgear/secgear/sdk/image"
)

// Layout of an image, integers little-endian, nothing between or after:
//
//	offset  bytes  content
//	0       8      magic "secgear\x00"
//	8       4      format version: 1, or 2 if the program is encrypted
//	12      4      M, size of the manifest: 1 to 64 KiB
//	16      8      P, size of the program: 1 to 1 GiB
//	24      2      algorithm of the signature; 0: not signed
//	26      2      K, size of the public key; 0 if not signed
//	28      2      S, size of the signature; 0 if not signed
//	30      2      zero
//	32      32     digest
//	64      M      manifest: JSON in canonical form (RFC 8785)
//	64+M    P      program: static 64-bit ELF executable; in version 2
//	               encrypted, see encrypted.go
//	64+M+P  K      public key: PKIX (SubjectPublicKeyInfo), DER
//	…       S      signature: 64 bytes (Ed25519) or DER (ECDSA)
//
// The digest is SHA-256 over
//
//	20      "secgear image digest"
//	4       format version
//	8       M
//	M       manifest
//	8       P
//	P       program
//
// (in version 2 the program as it is stored, encrypted, so that images are
// measured, signed and verified without their key), and the message that is signed is the 23 bytes "secgear image signature",
// the format version (4 bytes) and the digest.
const (
	magic         = "secgear\x00"
	formatVersion = 1
	headerSize    = 64
	digestDomain  = "secgear image digest"
	signDomain    = "secgear image signature"
)

// Sizes in bytes that an image can't exceed.
const (
	MaxProgram = 1 << 30
	MaxSize    = headerSize + image.MaxManifest + MaxProgram + maxPublicKey + maxSignature

	maxPublicKey = 120 // P-384
	maxSignature = 104 // P-384
)

// header is the fixed part of an image.
type header struct {
	version              uint32
	manifest, program    int
	algorithm            Algorithm
	publicKey, signature int
	digest               image.Digest
}

// parseHeader reads the header of an image of size bytes in all, and checks
// every size in it against that.
func parseHeader(b []byte, size int64) (header, error) {
	var h header
	if len(b) < headerSize || string(b[:8]) != magic {
		return h, fmt.Errorf("%w: no secgear image header", ErrFormat)
	}
	le := binary.LittleEndian
	if h.version = le.Uint32(b[8:]); h.version != formatVersion && h.version != encryptedVersion {
		return h, fmt.Errorf("%w: format version %d, known are %d and %d", ErrFormat, h.version, formatVersion, encryptedVersion)
	}
	manifest, program := le.Uint32(b[12:]), le.Uint64(b[16:])
	if manifest == 0 || manifest > image.MaxManifest || program == 0 || program > MaxProgram {
		return h, fmt.Errorf("%w: manifest of %d and program of %d bytes", ErrFormat, manifest, program)
	}
	h.manifest, h.program = int(manifest), int(program)
	h.algorithm = Algorithm(le.Uint16(b[24:]))
	h.publicKey, h.signature = int(le.Uint16(b[26:])), int(le.Uint16(b[28:]))
	if !h.algorithm.sizesOK(h.publicKey, h.signature) || le.Uint16(b[30:]) != 0 {
		return h, fmt.Errorf("%w: signature by algorithm %d with a key of %d and a signature of %d bytes",
			ErrFormat, uint16(h.algorithm), h.publicKey, h.signature)
	}
	if want := h.size(); size != want {
		return h, fmt.Errorf("%w: %d bytes long instead of %d", ErrFormat, size, want)
	}
	copy(h.digest[:], b[32:])
	return h, nil
}

// size returns the number of bytes of the whole image.
func (h header) size() int64 {
	return headerSize + int64(h.manifest) + int64(h.program) + int64(h.publicKey) + int64(h.signature)
}

// append writes the header's bytes to b.
func (h header) append(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, magic...)
	b = le.AppendUint32(b, h.version)
	b = le.AppendUint32(b, uint32(h.manifest))
	b = le.AppendUint64(b, uint64(h.program))
	b = le.AppendUint16(b, uint16(h.algorithm))
	b = le.AppendUint16(b, uint16(h.publicKey))
	b = le.AppendUint16(b, uint16(h.signature))
	b = le.AppendUint16(b, 0)
	return append(b, h.digest[:]...)
}

// digestOf measures an image, whose program is as it is stored.
func digestOf(version uint32, manifest, program []byte) image.Digest {
	le := binary.LittleEndian
	h := sha256.New()
	part := func(b []byte) {
		h.Write(le.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	h.Write(le.AppendUint32([]byte(digestDomain), version))
	part(manifest)
	part(program)
	return image.Digest(h.Sum(nil))
}

// File is an image as it was read: whole, canonical and with the right digest,
// but perhaps not signed, or by nobody we should trust. To load it, take
// [File.Verify].
type File struct {
	Manifest  image.Manifest
	Program   []byte           // a static executable; nil if encrypted
	Encrypted *image.Encrypted // the program, if it is encrypted; else nil
	Arch      string           // machine that Program is for, as GOARCH
	Digest    image.Digest
	Signature *Signature // nil if there is none

	version   uint32
	raw, body []byte // manifest and program as stored
}

// Build makes the unsigned image of program, a static executable. Zero fields
// of m take their defaults. The same arguments always give the same bytes.
func Build(m image.Manifest, program []byte) ([]byte, error) {
	m = m.WithDefaults()
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("building image: manifest: %w", err)
	}
	if len(program) > MaxProgram {
		return nil, fmt.Errorf("building image: program of %d bytes is larger than %d", len(program), MaxProgram)
	}
	if _, err := checkProgram(program); err != nil {
		return nil, fmt.Errorf("building image: program: %w", err)
	}
	manifest, err := m.Canonical()
	if err != nil {
		return nil, fmt.Errorf("building image: manifest: %w", err)
	}
	f := File{Digest: digestOf(formatVersion, manifest, program), version: formatVersion, raw: manifest, body: program}
	return f.encode(), nil
}

// encode returns the image's bytes.
func (f *File) encode() []byte {
	s := f.Signature
	if s == nil {
		s = new(Signature)
	}
	h := header{f.version, len(f.raw), len(f.body), s.Algorithm, len(s.PublicKey), len(s.Bytes), f.Digest}
	out := h.append(make([]byte, 0, h.size()))
	out = append(out, f.raw...)
	out = append(out, f.body...)
	out = append(out, s.PublicKey...)
	return append(out, s.Bytes...)
}

// Parse reads an image, signed or not, without checking its signature. The
// result refers to data. Its error matches [ErrFormat] or [ErrAltered].
func Parse(data []byte) (*File, error) {
	h, err := parseHeader(data, int64(len(data)))
	if err != nil {
		return nil, err
	}
	rest := data[headerSize:]
	take := func(n int) (b []byte) {
		b, rest = rest[:n:n], rest[n:]
		return b
	}
	f := &File{Digest: h.digest, version: h.version, raw: take(h.manifest), body: take(h.program)}
	if h.algorithm != 0 {
		f.Signature = &Signature{h.algorithm, take(h.publicKey), take(h.signature)}
	}
	if digestOf(f.version, f.raw, f.body) != f.Digest {
		return nil, ErrAltered
	}
	if f.Manifest, err = image.ParseCanonical(f.raw); err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrFormat, err)
	}
	if f.version == encryptedVersion {
		f.Encrypted, f.Arch, err = parseEncrypted(f.body)
	} else {
		f.Program = f.body
		f.Arch, err = checkProgram(f.Program)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: program: %w", ErrFormat, err)
	}
	return f, nil
}

// Open reads the image in the named file and checks its signature. Its error
// matches [ErrFormat], [ErrAltered], [ErrUnsigned], [ErrSignature] or an error
// of package os.
func Open(name string) (*image.Image, error) {
	data, err := ReadFile(name)
	if err != nil {
		return nil, err
	}
	img, err := Verify(data)
	if err != nil {
		return nil, fmt.Errorf("opening image %s: %w", name, err)
	}
	return img, nil
}

// openRegular opens a file for reading, and does not wait for whoever may be at
// the other end of what is none.
func openRegular(name string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat() // of what was opened, whatever the name means by now
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: not a regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// ReadFile returns the bytes of the image in the named file, for [Parse] and
// the like. No more is allocated than the header asks for, and nothing unless
// the file has exactly that size.
func ReadFile(name string) (data []byte, err error) {
	f, info, err := openRegular(name)
	if err != nil {
		return nil, fmt.Errorf("opening image: %w", err)
	}
	defer f.Close() // only read from
	var fixed [headerSize]byte
	if _, err := io.ReadFull(f, fixed[:]); err != nil {
		return nil, fmt.Errorf("opening image %s: %w: shorter than its header", name, ErrFormat)
	}
	h, err := parseHeader(fixed[:], info.Size())
	if err != nil {
		return nil, fmt.Errorf("opening image %s: %w", name, err)
	}
	data = make([]byte, h.size())
	copy(data, fixed[:])
	if _, err := io.ReadFull(f, data[headerSize:]); err != nil {
		return nil, fmt.Errorf("opening image %s: %w", name, err)
	}
	return data, nil
}
