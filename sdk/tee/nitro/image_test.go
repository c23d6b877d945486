package nitro

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image"
)

func sampleImage() *image.Image {
	m := image.DefaultManifest("sample")
	return &image.Image{Manifest: m, Program: []byte("program"), Arch: "amd64", Digest: image.Digest{1}, Signer: image.SignerID{2}}
}

func sampleKernel() Kernel {
	return Kernel{
		Image: []byte("kernel"), CommandLine: DefaultCommandLine,
		Modules: []Module{{"vsock", []byte("v")}, {"nsm", []byte("n")}},
	}
}

// TestEIF: the same image and kernel give the same file; the kernel's register
// depends on the kernel only, the program's on the image only.
func TestEIF(t *testing.T) {
	pcrs := func(img *image.Image, k Kernel) (file []byte, boot, app string) {
		t.Helper()
		e, err := EIF(img, k)
		if err != nil {
			t.Fatal(err)
		}
		p, err := e.PCRs()
		if err != nil {
			t.Fatal(err)
		}
		b, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b, p[1].String(), p[2].String()
	}
	file, boot, app := pcrs(sampleImage(), sampleKernel())
	if again, _, _ := pcrs(sampleImage(), sampleKernel()); !bytes.Equal(file, again) {
		t.Error("the second file differs")
	}
	for name, tt := range map[string]struct {
		img        func(*image.Image)
		kernel     func(*Kernel)
		boot, same bool // the registers 1 and 2 stay the same
	}{
		"another program":      {func(i *image.Image) { i.Program = []byte("other") }, func(*Kernel) {}, true, false},
		"another digest":       {func(i *image.Image) { i.Digest[31] ^= 1 }, func(*Kernel) {}, true, false},
		"another signer":       {func(i *image.Image) { i.Signer[31] ^= 1 }, func(*Kernel) {}, true, false},
		"another manifest":     {func(i *image.Image) { i.Manifest.Debug = true }, func(*Kernel) {}, true, false},
		"another kernel":       {func(*image.Image) {}, func(k *Kernel) { k.Image = []byte("other") }, false, true},
		"another command line": {func(*image.Image) {}, func(k *Kernel) { k.CommandLine = "quiet" }, false, true},
		"another module":       {func(*image.Image) {}, func(k *Kernel) { k.Modules[1].Data = []byte("x") }, false, true},
		"another order":        {func(*image.Image) {}, func(k *Kernel) { k.Modules[0], k.Modules[1] = k.Modules[1], k.Modules[0] }, false, true},
	} {
		img, k := sampleImage(), sampleKernel()
		tt.img(img)
		tt.kernel(&k)
		_, b, a := pcrs(img, k)
		if (b == boot) != tt.boot || (a == app) != tt.same {
			t.Errorf("%s: PCR1 is the same: %v, PCR2: %v", name, b == boot, a == app)
		}
	}
	img := sampleImage()
	img.Program, img.Encrypted = nil, &image.Encrypted{}
	if _, err := EIF(img, sampleKernel()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("encrypted: %v", err)
	}
}

// TestMemory: an enclave has room for what it boots from and what it was granted.
func TestMemory(t *testing.T) {
	k := sampleKernel()
	k.Image = make([]byte, 100<<20)
	for _, m := range []uint64{16 << 20, 1 << 30} {
		img := sampleImage()
		img.Manifest.Memory = m
		e, err := EIF(img, k)
		if err != nil {
			t.Fatal(err)
		}
		if e.Memory < m+3*100<<20 || e.Memory < 400<<20 || e.Memory%(2<<20) != 0 {
			t.Errorf("%d MiB of memory for %d", e.Memory>>20, m>>20)
		}
	}
}

// TestReadKernel: folders of both kinds are read, and what is not there is left
// out or named.
func TestReadKernel(t *testing.T) {
	write := func(dir string, files map[string]string) string {
		t.Helper()
		for name, content := range files {
			file := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	ours := write(t.TempDir(), map[string]string{
		"vmlinuz": "k", "modules/nsm.ko": "n", "modules/vsock.ko": "v", "modules/other.ko": "o",
	})
	k, err := ReadKernel(ours)
	if err != nil {
		t.Fatal(err)
	}
	if string(k.Image) != "k" || k.CommandLine != DefaultCommandLine || len(k.Modules) != 2 || k.Modules[0].Name != "vsock" || string(k.Modules[1].Data) != "n" {
		t.Errorf("%+v", k)
	}
	k, err = ReadKernel(write(t.TempDir(), map[string]string{"bzImage": "b", "nsm.ko": "n", "cmdline": "reboot=k quiet\n"}))
	if err != nil {
		t.Fatal(err)
	}
	if string(k.Image) != "b" || k.CommandLine != "reboot=k quiet" || len(k.Modules) != 1 {
		t.Errorf("%+v", k)
	}
	if _, err := ReadKernel(t.TempDir()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "vmlinuz") {
		t.Errorf("no kernel: %v", err)
	}
	if _, err := ReadKernel(write(t.TempDir(), map[string]string{"Image": "i", "cmdline": strings.Repeat("x", 3000)})); err == nil {
		t.Error("a long command line was read")
	}
}
