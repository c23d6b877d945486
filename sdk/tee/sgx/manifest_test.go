package sgx

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image"
)

var update = flag.Bool("update", false, "write golden files anew")

// demo is an image whose program is no program.
func demo() *image.Image {
	m := image.DefaultManifest("demo")
	m.SecurityVersion = 7
	m.Services = []string{"example.com/demo.Clock"}
	return &image.Image{Manifest: m, Program: []byte("a program"), Arch: "amd64", Digest: image.Digest{1}, Signer: image.SignerID{2}}
}

var libOS = LibOS{File: `/usr/lib/gramine "1.9"/libsysdb.so`, SHA256: [32]byte{3}}

func TestManifest(t *testing.T) {
	debugged := demo()
	debugged.Manifest.Debug = true
	debugged.Manifest.Memory = 3 << 30
	for file, tt := range map[string]struct {
		img  *image.Image
		name string
	}{
		"testdata/demo.manifest":   {demo(), Name},
		"testdata/debug.manifest":  {debugged, Name},
		"testdata/direct.manifest": {demo(), DirectName},
	} {
		l, err := Lay(tt.img, tt.name, libOS)
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(file, l.Manifest, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(l.Manifest, want) {
			t.Errorf("%s: got\n%s", file, l.Manifest)
		}
		again, err := Lay(tt.img, tt.name, libOS)
		if err != nil || !bytes.Equal(again.Manifest, l.Manifest) || !bytes.Equal(again.Identity, l.Identity) {
			t.Errorf("%s: another one the second time: %v", file, err)
		}
	}
}

// TestEverythingIsMeasured: images that differ in anything have other manifests.
func TestEverythingIsMeasured(t *testing.T) {
	seen := map[string]string{}
	for name, change := range map[string]func(*image.Image){
		"nothing": func(*image.Image) {},
		"program": func(i *image.Image) { i.Program = []byte("another") },
		"digest":  func(i *image.Image) { i.Digest[5]++ },
		"signer":  func(i *image.Image) { i.Signer[5]++ },
		"name":    func(i *image.Image) { i.Manifest.Name = "other" },
		"version": func(i *image.Image) { i.Manifest.SecurityVersion++ },
		"debug":   func(i *image.Image) { i.Manifest.Debug = true },
		"lanes":   func(i *image.Image) { i.Manifest.Lanes++ },
		"service": func(i *image.Image) { i.Manifest.Services = nil },
	} {
		img := demo()
		change(img)
		l, err := Lay(img, Name, libOS)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[string(l.Manifest)]; ok {
			t.Errorf("%s is measured as %s", name, other)
		}
		seen[string(l.Manifest)] = name
	}
}

func TestLayRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		change      func(*image.Image)
		unsupported bool
	}{
		"encrypted":    {func(i *image.Image) { i.Program, i.Encrypted = nil, &image.Encrypted{} }, true},
		"arm64":        {func(i *image.Image) { i.Arch = "arm64" }, true},
		"version":      {func(i *image.Image) { i.Manifest.SecurityVersion = 1 << 16 }, false},
		"memory":       {func(i *image.Image) { i.Manifest.Memory = 1 << 41 }, false},
		"wrong name":   {func(i *image.Image) { i.Manifest.Name = "../x" }, false},
		"memory's end": {func(i *image.Image) { i.Manifest.Memory = ^uint64(0) &^ 4095 }, false},
	} {
		img := demo()
		tt.change(img)
		if l, err := Lay(img, Name, libOS); l != nil || err == nil || errors.Is(err, errors.ErrUnsupported) != tt.unsupported {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestQuote(t *testing.T) {
	if got := quote("a\"b\\c\nd\x7f é"); got != `"a\"b\\c\u000Ad\u007F é"` {
		t.Error(got)
	}
}

// TestReferenceNeedsGramine: an image alone has no MRENCLAVE, and nobody makes one
// up.
func TestReferenceNeedsGramine(t *testing.T) {
	t.Setenv(signedVariable, "")
	if set, err := Reference(demo()); set != nil || !errors.Is(err, ErrNeedsGramine) {
		t.Errorf("%+v, %v", set, err)
	}
	t.Setenv(signedVariable, t.TempDir())
	if set, err := Reference(demo()); set != nil || err == nil || !strings.Contains(err.Error(), sigFile) {
		t.Errorf("%+v, %v", set, err)
	}
}
