package teetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/imagefile"
	"github.com/secgear/secgear/sdk/tee"
)

// ImageKey returns a key for images, the same for each seed.
func ImageKey(t testing.TB, seed byte) image.Key {
	t.Helper()
	key, err := image.NewKey(bytes.Repeat([]byte{seed}, image.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// EncryptedImage is [Image], with the program encrypted.
func EncryptedImage(t testing.TB, m image.Manifest, program []byte, signer byte, key image.Key) *image.Image {
	t.Helper()
	b, err := imagefile.Build(m, program)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = imagefile.Encrypt(b, key); err != nil {
		t.Fatal(err)
	}
	return signed(t, b, signer)
}

// LaunchEncrypted is [Launch] for an encrypted image, whose key it hands over. It
// skips the test if b can't decrypt.
func LaunchEncrypted(t testing.TB, b tee.Backend, img *image.Image, key image.Key, dir string) *Enclave {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	asked := 0
	cfg := Config(dir)
	handed := key.Clone()
	cfg.ImageKey = func(context.Context) (image.Key, error) {
		asked++
		return handed, nil
	}
	i, err := b.Launch(ctx, img, cfg)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("%s takes no encrypted images: %v", b.Name(), err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	if asked != 1 {
		t.Errorf("the key was asked for %d times", asked)
	}
	if !bytes.Equal(handed.Secret(), make([]byte, image.KeySize)) {
		t.Error("the key was not wiped")
	}
	return &Enclave{i, NewTalk(t, i.Control())}
}

// testEncrypted: an enclave from an encrypted image is one like any other. It is
// known by the image as it is stored, and what was sealed for its signer opens in
// clear and encrypted images alike.
func (s Suite) testEncrypted(t *testing.T) {
	dir := s.StateDir(t)
	key := ImageKey(t, 1)
	img := EncryptedImage(t, Manifest(), s.Program, 1, key)
	e := LaunchEncrypted(t, s.Backend, img, key, dir)
	var got tee.Identity
	if err := json.Unmarshal([]byte(e.Control.Get("identity")), &got); err != nil {
		t.Fatal(err)
	}
	if got.Digest != img.Digest || got.Signer != img.Signer {
		t.Errorf("identity %+v, want digest %v, signer %v", got, img.Digest, img.Signer)
	}
	told := slices.ContainsFunc(e.Protections(), func(p tee.Protection) bool {
		return strings.Contains(p.Name, "decrypted inside") && p.Active == (p.Reason == "")
	})
	if !told {
		t.Errorf("nothing tells where the program was decrypted: %+v", e.Protections())
	}
	t.Run("SealingKeys", func(t *testing.T) {
		ask := func(e *Enclave) (keys []string) {
			for _, p := range []tee.Policy{tee.PolicyImage, tee.PolicySigner} {
				keys = append(keys, e.Control.Power("sealingkey", p, 5, "salt"))
			}
			return keys
		}
		first := ask(e)
		if again := ask(LaunchEncrypted(t, s.Backend, img, key, dir)); !slices.Equal(first, again) {
			t.Error("another launch has other sealing keys")
		}
		for name, other := range map[string]*Enclave{
			"in clear":    s.launch(t, Manifest(), 1, dir),
			"another key": LaunchEncrypted(t, s.Backend, EncryptedImage(t, Manifest(), s.Program, 1, ImageKey(t, 2)), ImageKey(t, 2), dir),
		} {
			if keys := ask(other); keys[0] == first[0] || keys[1] != first[1] {
				t.Errorf("%s: keys %q, want only the second one of %q", name, keys, first)
			}
		}
	})
	t.Run("Counters", func(t *testing.T) {
		if got := e.Control.Power("increment", "a"); got != "1" {
			t.Errorf("first increment: %s", got)
		}
		if got := s.launch(t, Manifest(), 1, dir).Control.Get("counter", "a"); got != "1" {
			t.Errorf("in an image in clear: %s", got)
		}
	})
}

// testEncryptedRefused: without the key, or with another, nothing is launched.
func (s Suite) testEncryptedRefused(t *testing.T) {
	key := ImageKey(t, 1)
	img := EncryptedImage(t, Manifest(), s.Program, 1, key)
	LaunchEncrypted(t, s.Backend, img, key, s.StateDir(t)) // or skips
	altered := *img
	e := *img.Encrypted
	e.Ciphertext = bytes.Clone(e.Ciphertext)
	e.Ciphertext[len(e.Ciphertext)-1] ^= 1
	altered.Encrypted = &e
	debug := *img
	debug.Manifest.Debug = true
	failed := errors.New("no key today")
	give := func(key image.Key, err error) func(context.Context) (image.Key, error) {
		return func(context.Context) (image.Key, error) { return key.Clone(), err }
	}
	for _, tt := range []struct {
		name string
		img  *image.Image
		ask  func(context.Context) (image.Key, error)
		want error // matched, unless nil
	}{
		{"nobody to ask", img, nil, nil},
		{"no key", img, give(image.Key{}, nil), nil},
		{"another key", img, give(ImageKey(t, 2), nil), nil},
		{"an error", img, give(image.Key{}, failed), failed},
		{"altered", &altered, give(key, nil), nil},
		{"another manifest", &debug, give(key, nil), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := Config(s.StateDir(t))
			cfg.ImageKey = tt.ask
			i, err := s.Backend.Launch(t.Context(), tt.img, cfg)
			if err == nil {
				i.Close()
				t.Fatal("launched")
			}
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cfg := Config(s.StateDir(t))
		cfg.ImageKey = func(ctx context.Context) (image.Key, error) {
			cancel()
			<-ctx.Done()
			return image.Key{}, ctx.Err()
		}
		if i, err := s.Backend.Launch(ctx, img, cfg); !errors.Is(err, context.Canceled) {
			if err == nil {
				i.Close()
			}
			t.Errorf("error %v", err)
		}
	})
}
