package host

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/imagefile"
)

func testKey(t *testing.T, seed byte) image.Key {
	t.Helper()
	key, err := image.NewKey(bytes.Repeat([]byte{seed}, image.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// encryptedImage returns an image that takes testKey(t, 1).
func encryptedImage(t *testing.T, version uint32) *image.Image {
	t.Helper()
	img := testImage(version)
	img.Encrypted = &image.Encrypted{KeyID: imagefile.KeyIDOf(testKey(t, 1)), Size: 1, Ciphertext: []byte{1}}
	return img
}

// TestImageKey: whoever hands over keys is told what for, and the key is wiped
// afterwards.
func TestImageKey(t *testing.T) {
	f := &fakeTEE{name: "fake"}
	o := testOptions(t, f)
	key := testKey(t, 1)
	img := encryptedImage(t, 1)
	var asked []KeyRequest
	o.ImageKey = func(_ context.Context, want KeyRequest) (image.Key, error) {
		asked = append(asked, want)
		return key, nil
	}
	e, err := LoadImage(t.Context(), img, o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if len(asked) != 1 || asked[0].Key != img.Encrypted.KeyID || asked[0].TEE != "fake" ||
		asked[0].Identity.Digest != img.Digest || asked[0].Identity.Signer != img.Signer || asked[0].Identity.Manifest.Name != "demo" {
		t.Errorf("asked %+v", asked)
	}
	if e.Digest() != img.Digest {
		t.Errorf("digest %v", e.Digest())
	}
}

// TestImageKeyIsNotAskedFor lists when a key is nobody's business.
func TestImageKeyIsNotAskedFor(t *testing.T) {
	newer := func(o Options) {
		o.ImageKey = func(context.Context, KeyRequest) (image.Key, error) { return testKey(t, 1), nil }
		e, err := LoadImage(t.Context(), encryptedImage(t, 2), o)
		if err != nil {
			t.Fatal(err)
		}
		e.Close()
	}
	tests := []struct {
		name    string
		img     *image.Image
		f       *fakeTEE
		prepare func(*Options)
		want    error // nil: it is loaded
	}{
		{"image in clear", testImage(1), &fakeTEE{}, nil, nil},
		{"another signer", encryptedImage(t, 1), &fakeTEE{}, func(o *Options) { o.Signers = []image.SignerID{{1}} }, ErrNotAllowed},
		{"another digest", encryptedImage(t, 1), &fakeTEE{}, func(o *Options) { o.Digests = []image.Digest{{1}} }, ErrNotAllowed},
		{"rollback", encryptedImage(t, 1), &fakeTEE{}, func(o *Options) { newer(*o) }, ErrRollback},
		{"no such TEE here", encryptedImage(t, 1), &fakeTEE{unavailable: true}, nil, errors.ErrUnsupported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := testOptions(t, tt.f)
			if tt.prepare != nil {
				tt.prepare(&o)
			}
			o.ImageKey = func(context.Context, KeyRequest) (image.Key, error) {
				t.Error("it was")
				return image.Key{}, errFake
			}
			e, err := LoadImage(t.Context(), tt.img, o)
			if err == nil {
				e.Close()
			}
			var missing *UnavailableError
			if (err == nil) != (tt.want == nil) || err != nil && !errors.Is(err, tt.want) && !errors.As(err, &missing) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestImageKeyFails(t *testing.T) {
	tests := []struct {
		name string
		ask  func(context.Context, KeyRequest) (image.Key, error)
		want error
		text string
	}{
		{"nobody to ask", nil, ErrNoKey, "SECGEAR_IMAGE_KEY"},
		{"an error", func(context.Context, KeyRequest) (image.Key, error) { return image.Key{}, errFake }, errFake, ErrNoKey.Error()},
		{"no key", func(context.Context, KeyRequest) (image.Key, error) { return image.Key{}, nil }, ErrNoKey, "returned none"},
		{"a wrong key", func(context.Context, KeyRequest) (image.Key, error) { return testKey(t, 2), nil }, imagefile.ErrKey, imagefile.KeyIDOf(testKey(t, 2)).String()},
		{"a missing file", KeyFile("/nowhere/image.key"), fs.ErrNotExist, "reading image key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeTEE{}
			o := testOptions(t, f)
			o.ImageKey = tt.ask
			img := encryptedImage(t, 1)
			e, err := LoadImage(t.Context(), img, o)
			if err == nil {
				e.Close()
				t.Fatal("loaded")
			}
			if !errors.Is(err, tt.want) || f.launched != 0 {
				t.Errorf("launched %d times: %v", f.launched, err)
			}
			for _, want := range []string{tt.text, "key " + img.Encrypted.KeyID.String() + " of encrypted image demo"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("missing %q in %v", want, err)
				}
			}
			if _, err := os.Stat(filepath.Join(o.StateDir, versionsFile)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("security version recorded: %v", err)
			}
		})
	}
}

// TestImageKeyHangs: Load ends with its context even if the function for the key
// does not.
func TestImageKeyHangs(t *testing.T) {
	o := testOptions(t, &fakeTEE{})
	ctx, cancel := context.WithCancelCause(t.Context())
	over := make(chan struct{})
	defer close(over)
	o.ImageKey = func(context.Context, KeyRequest) (image.Key, error) {
		cancel(errFake)
		<-over
		return image.Key{}, nil
	}
	if _, err := LoadImage(ctx, encryptedImage(t, 1), o); !errors.Is(err, errFake) {
		t.Errorf("got %v", err)
	}
}

// TestImageKeyTooLate: a key that comes after the end of the context, or is not
// the one wanted, is wiped.
func TestImageKeyTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		late, wrong := testKey(t, 1), testKey(t, 2)
		img := encryptedImage(t, 1)
		want := KeyRequest{Key: img.Encrypted.KeyID}
		hangs := Options{ImageKey: func(context.Context, KeyRequest) (image.Key, error) {
			time.Sleep(time.Minute)
			return late, nil
		}}
		errs := Options{ImageKey: func(context.Context, KeyRequest) (image.Key, error) { return wrong, nil }}
		if _, err := errs.imageKey(want)(ctx); !errors.Is(err, imagefile.ErrKey) {
			t.Errorf("a wrong key: %v", err)
		}
		if _, err := hangs.imageKey(want)(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a late key: %v", err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		for _, key := range []image.Key{late, wrong} {
			if !bytes.Equal(key.Secret(), make([]byte, image.KeySize)) {
				t.Error("a key was not wiped")
			}
		}
	})
}

func TestImageKeyByEnvironment(t *testing.T) {
	name := filepath.Join(t.TempDir(), "image.key")
	if err := os.WriteFile(name, testKey(t, 1).Secret(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SECGEAR_IMAGE_KEY", name)
	e, err := LoadImage(t.Context(), encryptedImage(t, 1), testOptions(t, &fakeTEE{}))
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadImage(t.Context(), encryptedImage(t, 1), testOptions(t, &fakeTEE{})); !errors.Is(err, imagefile.ErrKeyFile) {
		t.Errorf("a file that others can read: %v", err)
	}
}

func TestEncryptedDebugImageIsLogged(t *testing.T) {
	rec := new(recorder)
	o := testOptions(t, &fakeTEE{})
	o.Log = rec.logger()
	o.ImageKey = func(context.Context, KeyRequest) (image.Key, error) { return testKey(t, 1), nil }
	img := encryptedImage(t, 1)
	img.Manifest.Debug = true
	e, err := LoadImage(t.Context(), img, o)
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	if !strings.Contains(rec.text(), "encrypted debug image") {
		t.Errorf("log %s", rec.text())
	}
}
