package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/secgear/secgear/examples/vault"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/image/build"
	"github.com/secgear/secgear/sdk/image/imagefile"
)

// buildImage builds the enclave, once, with and without a signature.
var buildImage = sync.OnceValues(func() (images struct{ signed, unsigned []byte }, err error) {
	if images.unsigned, err = build.Image(context.Background(), build.Options{Dir: "../enclave"}); err != nil {
		return images, err
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return images, err
	}
	images.signed, err = imagefile.Sign(images.unsigned, key)
	return images, err
})

// setUp returns options for a file with the given content. Temporary files go to a
// folder that must be empty at the end.
func setUp(t *testing.T, content []byte) options {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skipf("enclaves run on Linux, this is %s", runtime.GOOS)
	}
	images, err := buildImage()
	if err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("SECGEAR_STATE", filepath.Join(t.TempDir(), "state"))
	t.Setenv("SECGEAR_TEE", "sim")
	t.Cleanup(func() {
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("temporary files were left behind: %v, %v", left, err)
		}
	})
	write := func(name string, data []byte) string {
		name = filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	return options{image: write("vault.sgi", images.signed), file: write("file", content), measure: 1}
}

// random returns n bytes that are the same every time.
func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{2}).Read(b) // never fails
	return b
}

// runWith runs the program and returns its report.
func runWith(ctx context.Context, t *testing.T, o options, watch *bytes.Buffer) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(ctx, o, &display{&progress{out: watch}, &report{out: &out, asJSON: o.json}})
	var missing *host.UnavailableError
	if errors.As(err, &missing) {
		t.Skipf("the enclave can't be sandboxed: %v", missing)
	}
	return out.String(), err
}

// TestRun: the whole program, with files of all kinds of lengths.
func TestRun(t *testing.T) {
	for name, length := range map[string]int{
		"empty":       0,
		"a byte":      1,
		"a chunk":     vault.ChunkSize,
		"many chunks": 11*vault.ChunkSize + 5,
	} {
		t.Run(name, func(t *testing.T) {
			o := setUp(t, random(length))
			var watch bytes.Buffer
			text, err := runWith(t.Context(), t, o, &watch)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{
				"TEE          sim: a simulation", "vault, security version 1", "digest", "signer", "in force", "seccomp",
				o.file, "every byte is the same again", "zero-copy", "copied", "zero-switch", "switched",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("the report lacks %q:\n%s", want, text)
				}
			}
			if got, want := watch.String(), "sealing …\nopening …\ncomparing …\n"; got != want {
				t.Errorf("progress %q, want %q", got, want)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	const length = 3 << 20
	o := setUp(t, random(length))
	o.json = true
	text, err := runWith(t.Context(), t, o, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	var r result
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	img, err := imagefile.Open(o.image)
	if err != nil {
		t.Fatal(err)
	}
	if r.TEE != "sim" || !r.Simulation || r.Enclave != "vault" || r.SecurityVersion != 1 || r.Digest != img.Digest || r.Signer != img.Signer {
		t.Errorf("what runs where is wrong: %+v", r)
	}
	if len(r.Protections) == 0 || r.StartMillis <= 0 {
		t.Errorf("protections or start are missing: %+v", r)
	}
	if r.File != o.file || r.Bytes != length || r.SealedBytes != sealedSize(length) || !r.OpenedIsSame {
		t.Errorf("the file is wrong: %+v", r)
	}
	for _, x := range []float64{
		r.SealSpeed, r.OpenSpeed, r.ZeroCopySpeed, r.CopiedSpeed, r.SwitchedSpeed,
		r.ZeroSwitchLatency.P50, r.ZeroSwitchLatency.P90, r.SwitchedLatency.P50, r.SwitchedLatency.P90,
	} {
		if x <= 0 {
			t.Errorf("something was not measured: %+v", r)
		}
	}
}

// TestRunFails: what goes wrong is said, and nothing is left behind.
func TestRunFails(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, o *options)
		want   error
		text   string
	}{
		{"no file", func(_ *testing.T, o *options) { o.file += "x" }, fs.ErrNotExist, "finding the file to seal: "},
		{"a folder", func(_ *testing.T, o *options) { o.file = filepath.Dir(o.file) }, nil, "not a regular file"},
		{"no image", func(_ *testing.T, o *options) { o.image += "x" }, fs.ErrNotExist, ""},
		{"image not signed", func(t *testing.T, o *options) {
			images, err := buildImage()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(o.image, images.unsigned, 0o600); err != nil {
				t.Fatal(err)
			}
		}, imagefile.ErrUnsigned, ""},
		{"no such TEE", func(t *testing.T, _ *options) { t.Setenv("SECGEAR_TEE", "none") }, nil, `"none"`},
		{"no such folder", func(t *testing.T, _ *options) { t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "x")) }, fs.ErrNotExist, "temporary file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := setUp(t, []byte("content"))
			tt.change(t, &o)
			_, err := runWith(t.Context(), t, o, new(bytes.Buffer))
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v and %q", err, tt.want, tt.text)
			}
		})
	}
}

// interrupter ends a context when a certain text is written to it.
type interrupter struct {
	at        string
	interrupt func()
}

func (i *interrupter) Write(p []byte) (int, error) {
	if strings.Contains(string(p), i.at) {
		i.interrupt()
	}
	return len(p), nil
}

// TestInterrupted: Ctrl-C at any moment ends the program and leaves nothing
// behind.
func TestInterrupted(t *testing.T) {
	for _, at := range []string{"collecting", "sealing", "opening", "comparing"} {
		t.Run(at, func(t *testing.T) {
			o := setUp(t, random(5*vault.ChunkSize))
			if at == "collecting" {
				o.file = ""
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := run(ctx, o, &display{&progress{out: &interrupter{at, cancel}}, &report{out: new(bytes.Buffer)}})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want %v", err, context.Canceled)
			}
		})
	}
}
