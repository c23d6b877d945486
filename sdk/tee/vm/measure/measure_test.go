package measure_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/reference"
	"github.com/secgear/secgear/sdk/image/reference/ovmf/ovmftest"
	"github.com/secgear/secgear/sdk/image/reference/snp"
	"github.com/secgear/secgear/sdk/image/reference/tdx"
	"github.com/secgear/secgear/sdk/internal/initramfs"
	"github.com/secgear/secgear/sdk/tee/vm/measure"
)

// Whether the values are right is tested in packages snp and tdx. Here it is
// tested that they are of what package vm launches.

func TestSNP(t *testing.T) {
	img, o := sample(t)
	o.CPUs = 3
	got, err := measure.SNP(img, o)
	if err != nil {
		t.Fatal(err)
	}
	want, err := snp.Launch{
		Firmware: ovmftest.Default().Build(), CPUs: 3, Signature: 0x800f12, Features: snp.SNPActive,
		Boot: &snp.Boot{Kernel: ovmftest.Kernel(1), Initrd: packed(t, img, "sev-snp", "configfs", "tsm", "sev-guest"), CommandLine: line},
	}.Digest()
	if err != nil {
		t.Fatal(err)
	}
	hasValue(t, got, "MEASUREMENT", want[:])
}

func TestTDX(t *testing.T) {
	img, o := sample(t)
	got, err := measure.TDX(img, o)
	if err != nil {
		t.Fatal(err)
	}
	mrtd, err := tdx.MRTD(ovmftest.Default().Build())
	if err != nil {
		t.Fatal(err)
	}
	rtmr1, err := tdx.RTMR1(ovmftest.Kernel(1))
	if err != nil {
		t.Fatal(err)
	}
	rtmr2, err := tdx.RTMR2(line, packed(t, img, "tdx", "configfs", "tsm", "tdx-guest"))
	if err != nil {
		t.Fatal(err)
	}
	hasValue(t, got, "MRTD", mrtd[:])
	hasValue(t, got, "RTMR1", rtmr1[:])
	hasValue(t, got, "RTMR2", rtmr2[:])
	if len(got.Absent) != 1 || got.Absent[0].Name != "RTMR0" {
		t.Errorf("absent: %+v", got.Absent)
	}
}

// TestTDXOfOldFirmware: what it is not known to measure is not computed.
func TestTDXOfOldFirmware(t *testing.T) {
	img, o := sample(t)
	old := ovmftest.Default()
	old.Table = old.Table[:2]
	if err := os.WriteFile(o.Firmware, old.Build(), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := measure.TDX(img, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Values) != 1 || len(got.Absent) != 3 || got.Absent[1].Name != "RTMR1" || got.Absent[2].Name != "RTMR2" {
		t.Errorf("values %+v, absent %+v", got.Values, got.Absent)
	}
}

// TestInputs: the files that were taken are named by their digests.
func TestInputs(t *testing.T) {
	img, o := sample(t)
	got, err := measure.TDX(img, o)
	if err != nil {
		t.Fatal(err)
	}
	want := reference.FileInput("firmware", ovmftest.Default().Build())
	if in := got.Inputs[0]; in.Name != want.Name || !bytes.Equal(in.SHA256, want.SHA256) || in.Size != want.Size {
		t.Errorf("%+v, want %+v", in, want)
	}
}

func TestRefuses(t *testing.T) {
	img, good := sample(t)
	arm := *img
	arm.Arch = "arm64"
	encrypted := *img
	encrypted.Program, encrypted.Encrypted = nil, &image.Encrypted{}
	tests := []struct {
		name   string
		img    *image.Image
		change func(*measure.Options)
		text   string
		is     error
	}{
		{"other processor", &arm, func(*measure.Options) {}, "for arm64", errors.ErrUnsupported},
		{"encrypted", &encrypted, func(*measure.Options) {}, "encrypted", errors.ErrUnsupported},
		{"no firmware", img, func(o *measure.Options) { o.Firmware += ".none" }, "firmware is missing", os.ErrNotExist},
		{"no kernel", img, func(o *measure.Options) { o.Kernel += ".none" }, "kernel is missing", os.ErrNotExist},
		{"no modules", img, func(o *measure.Options) {
			o.Kernel = t.TempDir()
			if err := os.WriteFile(filepath.Join(o.Kernel, "vmlinuz"), ovmftest.Kernel(1), 0o644); err != nil {
				t.Fatal(err)
			}
		}, "module of the kernel is missing", os.ErrNotExist},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := good
			tt.change(&o)
			for tee, f := range map[string]func(*image.Image, measure.Options) (*reference.Set, error){"sev-snp": measure.SNP, "tdx": measure.TDX} {
				if _, err := f(tt.img, o); !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("%s: error %v, want one with %q", tee, err, tt.text)
				}
			}
		})
	}
}

// line is the command line of an enclave that is not for debugging.
const line = "console=ttyS0 panic=-1 reboot=t quiet"

// sample is an image and where what it is launched with is.
func sample(t *testing.T) (*image.Image, measure.Options) {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, name := range []string{"configfs", "tsm", "sev-guest", "tdx-guest"} {
		write("modules/"+name+".ko", []byte(name))
	}
	write("vmlinuz", ovmftest.Kernel(1))
	return &image.Image{Manifest: image.DefaultManifest("sample"), Program: []byte("program"), Arch: "amd64", Digest: image.Digest{1}, Signer: image.SignerID{2}},
		measure.Options{Firmware: write("OVMF.fd", ovmftest.Default().Build()), Kernel: dir}
}

// packed is the initramfs of img.
func packed(t *testing.T, img *image.Image, tee string, modules ...string) []byte {
	t.Helper()
	var list []initramfs.Module
	for _, name := range modules {
		list = append(list, initramfs.Module{Name: name, Data: []byte(name)})
	}
	b, err := initramfs.Build(img, tee, list)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func hasValue(t *testing.T, set *reference.Set, name string, want []byte) {
	t.Helper()
	for _, v := range set.Values {
		if v.Name == name {
			if !bytes.Equal(v.Value, want) {
				t.Errorf("%s is %s, want %x", name, v.Value, want)
			}
			return
		}
	}
	t.Errorf("no %s in %+v", name, set.Values)
}
