package initramfs

import (
	"errors"
	"fmt"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

// ErrFormat is matched by errors about an identity that is malformed.
var ErrFormat = errors.New("malformed identity")

// MaxIdentity is the size of the largest identity, in bytes.
const MaxIdentity = len(identityMagic) + 1 + maxPlatform + 64 + image.MaxManifest

const (
	identityMagic = "secgear guest 1\n"
	maxPlatform   = 32
)

// AppendIdentity appends what the guest is told of itself:
//
//	16  "secgear guest 1\n"
//	1   P, 1 to 32
//	P   name of the platform that the program finds itself in, as "vm"
//	32  digest of the image
//	32  who signed it
//	…   manifest in canonical form, up to the end
func AppendIdentity(b []byte, platform string, id tee.Identity) ([]byte, error) {
	if platform == "" || len(platform) > maxPlatform {
		return nil, fmt.Errorf("%w: platform %q", ErrFormat, platform)
	}
	if err := id.Manifest.Validate(); err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrFormat, err)
	}
	manifest, err := id.Manifest.Canonical()
	if err != nil {
		return nil, fmt.Errorf("encoding the manifest: %w", err)
	}
	b = append(b, identityMagic...)
	b = append(b, byte(len(platform)))
	b = append(b, platform...)
	b = append(b, id.Digest[:]...)
	b = append(b, id.Signer[:]...)
	return append(b, manifest...), nil
}

// ParseIdentity reads what AppendIdentity wrote, and nothing else.
func ParseIdentity(b []byte) (platform string, id tee.Identity, err error) {
	if len(b) > MaxIdentity || len(b) < len(identityMagic)+1 || string(b[:len(identityMagic)]) != identityMagic {
		return "", id, fmt.Errorf("%w: no identity in %d bytes", ErrFormat, len(b))
	}
	b = b[len(identityMagic):]
	n := int(b[0])
	b = b[1:]
	if n == 0 || n > maxPlatform || len(b) < n+64 {
		return "", id, fmt.Errorf("%w: platform's name of %d bytes, %d bytes left", ErrFormat, n, len(b))
	}
	platform, b = string(b[:n]), b[n:]
	id.Digest, id.Signer = image.Digest(b[:32]), image.SignerID(b[32:64])
	if id.Manifest, err = image.ParseCanonical(b[64:]); err != nil {
		return "", tee.Identity{}, fmt.Errorf("%w: manifest: %w", ErrFormat, err)
	}
	return platform, id, nil
}
