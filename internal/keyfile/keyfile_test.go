package keyfile_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/secgear/secgear/internal/keyfile"
)

// public is what all public keys have.
type public interface{ Equal(crypto.PublicKey) bool }

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	for _, algorithm := range keyfile.Algorithms {
		t.Run(algorithm, func(t *testing.T) {
			key, err := keyfile.Generate(algorithm)
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(dir, algorithm)
			if err := keyfile.Create(name, key); err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(name); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Errorf("permissions %v, %v", info.Mode(), err)
			}
			again, err := keyfile.Private(name)
			if err != nil || !key.Public().(public).Equal(again.Public()) {
				t.Errorf("reading it back: %v", err)
			}
			if err := keyfile.Create(name, key); !errors.Is(err, fs.ErrExist) {
				t.Errorf("over itself: %v", err)
			}
			der, err := x509.MarshalPKIXPublicKey(key.Public())
			if err != nil {
				t.Fatal(err)
			}
			for kind, data := range map[string][]byte{
				"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
			} {
				name := filepath.Join(dir, algorithm+".pub")
				if err := os.WriteFile(name, data, 0o600); err != nil {
					t.Fatal(err)
				}
				if pub, err := keyfile.Public(name); err != nil || !key.Public().(public).Equal(pub) {
					t.Errorf("public key in %s: %v", kind, err)
				}
			}
		})
	}
	if _, err := keyfile.Generate("rsa"); err == nil {
		t.Error("Generate took rsa")
	}
}

// TestOpenSSL reads keys that OpenSSL 3.0 wrote:
//
//	openssl ecparam -name prime256v1 -genkey
//	openssl genpkey -algorithm ed25519
//	openssl ec -aes128
func TestOpenSSL(t *testing.T) {
	for name, want := range map[string]string{
		"sec1.pem": "", "ed25519.pem": "", "encrypted-pkcs8.pem": "encrypted", "encrypted-sec1.pem": "encrypted", "public.pem": "no private key",
	} {
		_, err := keyfile.Private(filepath.Join("testdata", name))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if _, err := keyfile.Public(filepath.Join("testdata", "public.pem")); err != nil {
		t.Error(err)
	}
	if _, err := keyfile.Public(filepath.Join("testdata", "sec1.pem")); err == nil {
		t.Error("a private key was taken for a public one")
	}
}

func TestRefused(t *testing.T) {
	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(x)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "key")
	for kind, data := range map[string][]byte{
		"empty": nil, "garbage": []byte("garbage"), "bad DER": []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
		"X25519": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), "large": make([]byte, 2<<20),
	} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := keyfile.Private(name); err == nil {
			t.Errorf("%s: Private took it", kind)
		}
		if _, err := keyfile.Public(name); err == nil {
			t.Errorf("%s: Public took it", kind)
		}
	}
	if _, err := keyfile.Private(name + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

// TestDevelopment asks for the key from several goroutines when there is none:
// all get the same.
func TestDevelopment(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("XDG_CONFIG_HOME is used on Linux")
	}
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	keys := make([]crypto.Signer, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			key, name, err := keyfile.Development()
			if err != nil || name != filepath.Join(dir, "secgear", "dev-key.pem") {
				t.Errorf("key in %s, %v", name, err)
			}
			keys[i] = key
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for _, key := range keys {
		if !key.Public().(public).Equal(keys[0].Public()) {
			t.Error("keys differ")
		}
	}
}
