package imagefile_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/imagefile"
)

// The seeds of both targets are in testdata/fuzz.

// FuzzParse: whatever Parse takes, Build and Attach give back byte by byte.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := imagefile.Parse(data)
		if err != nil {
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
