package measured

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

// Event is what is measured of an image before it runs. The digest covers
// program and manifest; what else is here of the manifest is for people, and for
// policies that speak of signers and versions.
type Event struct {
	Digest          image.Digest
	Signer          image.SignerID
	SecurityVersion uint32
	Debug           bool
	Name            string // 1 to 64 bytes
	CommandLine     string // what the program is started with, at most 4096 bytes
}

// MaxCommandLine is the length of the longest command line.
const MaxCommandLine = 4096

// EventOf is the event of an image that is started with a command line.
func EventOf(id tee.Identity, commandLine string) Event {
	return Event{
		Digest: id.Digest, Signer: id.Signer,
		SecurityVersion: id.Manifest.SecurityVersion, Debug: id.Manifest.Debug, Name: id.Manifest.Name,
		CommandLine: commandLine,
	}
}

// An event as it is hashed is a tagged event as in the TCG's PC Client Platform
// Firmware Profile (EV_EVENT_TAG), whose numbers are
// little-endian:
//
//	tag (4), size of the rest (4),
//	"secgear image" (13), version 1 (1),
//	digest (32), signer (32), security version (4), debug 0 or 1 (1),
//	length of name (1), name, length of command line (2), command line
const (
	eventTag     = 0x53474931 // "SGI1", chosen at random as the profile wants it
	eventMagic   = "secgear image"
	eventVersion = 1
	maxEvent     = 8 + len(eventMagic) + 1 + 32 + 32 + 4 + 1 + 1 + image.MaxName + 2 + MaxCommandLine
)

// Encode returns the bytes that are hashed.
func (e Event) Encode() ([]byte, error) {
	if len(e.Name) == 0 || len(e.Name) > image.MaxName {
		return nil, fmt.Errorf("measuring an image: its name has %d bytes, not 1 to %d", len(e.Name), image.MaxName)
	}
	if len(e.CommandLine) > MaxCommandLine {
		return nil, fmt.Errorf("measuring an image: the command line has %d bytes, more than %d", len(e.CommandLine), MaxCommandLine)
	}
	b := binary.LittleEndian.AppendUint32(nil, eventTag)
	b = append(b, 0, 0, 0, 0)
	b = append(append(b, eventMagic...), eventVersion)
	b = append(append(b, e.Digest[:]...), e.Signer[:]...)
	b = binary.LittleEndian.AppendUint32(b, e.SecurityVersion)
	b = append(b, flag(e.Debug), byte(len(e.Name)))
	b = append(b, e.Name...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(e.CommandLine)))
	b = append(b, e.CommandLine...)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-8))
	return b, nil
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// ParseEvent reads what [Event.Encode] made. Errors match [ErrFormat].
func ParseEvent(b []byte) (e Event, err error) {
	r := &reader{rest: b, order: binary.LittleEndian}
	r.want("tag", r.u32("tag"), eventTag)
	r.want("size", r.u32("size"), uint32(len(r.rest)))
	if !bytes.Equal(r.bytes("magic", len(eventMagic)), []byte(eventMagic)) {
		r.fail("not an image's event")
	}
	r.want("version", uint32(r.u8("version")), eventVersion)
	copy(e.Digest[:], r.bytes("digest", 32))
	copy(e.Signer[:], r.bytes("signer", 32))
	e.SecurityVersion = r.u32("security version")
	debug := r.u8("debug")
	if debug > 1 {
		r.fail("debug is %d", debug)
	}
	e.Debug = debug == 1
	n := int(r.u8("length of name"))
	if r.err == nil && (n == 0 || n > image.MaxName) {
		r.fail("name of %d bytes", n)
	}
	e.Name = string(r.bytes("name", n))
	e.CommandLine = string(r.sized("command line", MaxCommandLine))
	if err := r.end(); err != nil {
		return Event{}, err
	}
	return e, nil
}

// Alg is a hash function of registers, by its number in TPM_ALG_ID.
type Alg uint16

// The hash functions that images are measured with.
const (
	SHA256 Alg = 0x000b // TPMs' register banks
	SHA384 Alg = 0x000c // TDX's registers, and further banks of TPMs
)

// Size is the length of a digest in bytes; zero for an unknown function.
func (a Alg) Size() int {
	switch a {
	case SHA256:
		return sha256.Size
	case SHA384:
		return sha512.Size384
	}
	return 0
}

// Sum hashes b.
func (a Alg) Sum(b []byte) []byte {
	switch a {
	case SHA256:
		s := sha256.Sum256(b)
		return s[:]
	case SHA384:
		s := sha512.Sum384(b)
		return s[:]
	}
	return nil
}

// Extend is a register's value after digest was measured into it.
func (a Alg) Extend(value, digest []byte) []byte {
	return a.Sum(append(bytes.Clone(value), digest...))
}
