// Package keyfile keeps the keys that sign images in PEM files: private ones as
// PKCS #8 (RFC 5208) or SEC 1 (RFC 5915), public ones as PKIX (RFC 5280), as
// OpenSSL writes them.
package keyfile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/secgear/secgear/internal/atomicfile"
)

// Algorithms are the names that [Generate] takes, the default first.
var Algorithms = []string{"ed25519", "p256", "p384"}

// Generate makes a private key: Ed25519, or ECDSA on P-256 or P-384.
func Generate(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case "ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case "p256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	}
	return nil, fmt.Errorf("making a key: algorithm %q is none of %s", algorithm, strings.Join(Algorithms, ", "))
}

// Create writes key to a new file that only its owner can read. A file that is
// there already is left alone; the error then matches [fs.ErrExist].
func Create(name string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding the key: %w", err)
	}
	return atomicfile.Create(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// Private reads a private key.
func Private(name string) (crypto.Signer, error) {
	data, err := read(name)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		var key any
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			if block.Headers["DEK-Info"] != "" {
				return nil, encrypted(name)
			}
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, encrypted(name)
		default:
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading key %s: %w", name, err)
		}
		if signer, ok := key.(crypto.Signer); ok {
			return signer, nil
		}
		return nil, fmt.Errorf("reading key %s: a key of type %T can't sign", name, key)
	}
	return nil, fmt.Errorf("reading key %s: no private key in PEM found", name)
}

func encrypted(name string) error {
	return fmt.Errorf("reading key %s: the key is encrypted, which is not supported: sign elsewhere and attach the signature", name)
}

// Public reads a public key, in PEM or DER.
func Public(name string) (crypto.PublicKey, error) {
	data, err := read(name)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "PUBLIC KEY" {
			data = block.Bytes
			break
		}
	}
	key, err := x509.ParsePKIXPublicKey(data)
	if err != nil {
		return nil, fmt.Errorf("reading key %s: no public key (PKIX) in PEM or DER found", name)
	}
	return key, nil
}

// read reads a small file.
func read(name string) ([]byte, error) {
	const limit = 1 << 20
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("reading key: %w", err)
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("reading key %s: too large to be a key", name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading key: %w", err)
	}
	return data, nil
}

// Development returns this user's key for images under development, and the
// file it is in: $XDG_CONFIG_HOME/secgear/dev-key.pem. On first use it is made.
func Development() (crypto.Signer, string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return nil, "", fmt.Errorf("finding the development key: %w", err)
	}
	name := filepath.Join(dir, "secgear", "dev-key.pem")
	key, err := Private(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, name, err
	}
	if key, err = Generate(Algorithms[0]); err != nil {
		return nil, name, err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, name, fmt.Errorf("making the development key: %w", err)
	}
	err = Create(name, key)
	if errors.Is(err, fs.ErrExist) { // another process was faster
		key, err = Private(name)
	}
	return key, name, err
}
