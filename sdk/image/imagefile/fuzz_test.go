package imagefile_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/imagefile"
)

// The seeds of all targets are in testdata/fuzz; those of FuzzParse hold images of
// both format versions.

// FuzzParse: whatever Parse takes, Build and Attach give back byte by byte. An
// encrypted program can't be built again without its key: there the digest, over
// all that was stored, stands in for it.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := imagefile.Parse(data)
		if err != nil {
			return
		}
		if e := file.Encrypted; e != nil {
			parsedEncrypted(t, file, data)
			return
		}
		again, err := imagefile.Build(file.Manifest, file.Program)
		if err != nil {
			t.Fatalf("building what was parsed: %v", err)
		}
		if s := file.Signature; s == nil {
			if !bytes.Equal(again, data) {
				t.Error("unsigned image is not canonical")
			}
		} else if !bytes.HasPrefix(data[32:], again[32:]) || len(data) != len(again)+len(s.PublicKey)+len(s.Bytes) {
			t.Error("signed image is not canonical")
		}
		img, err := file.Verify()
		if err == nil && img.Signer != file.Signature.Signer() {
			t.Error("verified signer is not the claimed one")
		}
	})
}

// parsedEncrypted checks what Parse made of an encrypted image, unsigned or not.
func parsedEncrypted(t *testing.T, file *imagefile.File, data []byte) {
	e := file.Encrypted
	if file.Program != nil || file.Arch == "" || e.Size <= 0 || e.Size >= len(e.Ciphertext) {
		t.Errorf("encrypted %d bytes in %d, arch %q", e.Size, len(e.Ciphertext), file.Arch)
	}
	manifest, err := file.Manifest.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	if again := sealedAs(2, string(manifest), e.Ciphertext); !bytes.HasPrefix(data[32:], again[32:]) {
		t.Error("encrypted image is not canonical")
	}
}

// FuzzDecrypt: an encrypted program with anything in it, by somebody who can
// sign, is what was encrypted or refused.
func FuzzDecrypt(f *testing.F) {
	key := imageKey(f, 1)
	f.Fuzz(func(t *testing.T, body []byte) {
		file, err := imagefile.Parse(sealedAs(2, demoManifest, body))
		if err != nil {
			return
		}
		img := &image.Image{Manifest: file.Manifest, Encrypted: file.Encrypted, Arch: file.Arch}
		dst := make([]byte, file.Encrypted.Size)
		if err := imagefile.Decrypt(img, key, dst); err != nil {
			if !bytes.Equal(dst, make([]byte, len(dst))) {
				t.Error("something was left in the buffer")
			}
			return
		}
		again := encrypt(t, file.Manifest, dst, key)
		if !bytes.HasSuffix(again, body) {
			t.Error("encrypting again gives something else")
		}
	})
}

// FuzzManifest: a manifest that is valid goes through an image unchanged.
func FuzzManifest(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := image.ParseManifest(data)
		if err != nil {
			return
		}
		img, err := imagefile.Build(m, program(nil))
		if err != nil {
			return
		}
		file, err := imagefile.Parse(img)
		if err != nil {
			t.Fatalf("parsing what was built: %v", err)
		}
		again, err := imagefile.Build(file.Manifest, program(nil))
		if err != nil || !bytes.Equal(img, again) {
			t.Errorf("manifest %+v became %+v, %v", m, file.Manifest, err)
		}
		m = m.WithDefaults()
		m.Attach, m.Services = file.Manifest.Attach, file.Manifest.Services // only sorted
		if !reflect.DeepEqual(m, file.Manifest) {
			t.Errorf("manifest %+v became %+v", m, file.Manifest)
		}
	})
}
