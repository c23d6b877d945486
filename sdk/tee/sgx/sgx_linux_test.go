package sgx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/teetest"
)

// TestSuiteInPretendedGramine runs the conformance suite with a program in
// Gramine's place. It shows that the two halves understand each other, and nothing
// about Gramine or SGX: that is why it is not called TestConformance, by which make
// test-tees says what was run. All of it takes SECGEAR_TEST_TEES=all.
func TestSuiteInPretendedGramine(t *testing.T) {
	b := Backend{Direct: true, Gramine: pretend(t)}
	teetest.Suite{
		Backend: b, Program: teetest.Build(t, "testdata/testenclave"), Callee: teetest.BuildCallee(t, "amd64"),
		Kill:  func(i tee.Instance) error { return i.(*instance).proc.kill() },
		Short: os.Getenv("SECGEAR_TEST_TEES") != "all",
	}.Run(t)
	if left := leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// launchSGX launches the test enclave with pretended SGX.
func launchSGX(t *testing.T, b Backend, m image.Manifest) (tee.Instance, error) {
	t.Helper()
	img := &image.Image{Manifest: m, Program: teetest.Build(t, "testdata/testenclave"), Arch: "amd64"}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	i, err := b.Launch(ctx, img, tee.LaunchConfig{StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Cleanup(func() { i.Close() })
	}
	return i, err
}

// ask has the enclave do something.
func ask(t *testing.T, i tee.Instance, command string) string {
	t.Helper()
	if _, err := io.WriteString(i.Control(), command+"\n"); err != nil {
		t.Fatal(err)
	}
	var b [4096]byte
	n, err := i.Control().Read(b[:])
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func key(t *testing.T) string {
	t.Helper()
	name, err := filepath.Abs("sigstruct/testdata/key.pem")
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// TestPowers: evidence, keys and what is missing, in pretended SGX.
func TestPowers(t *testing.T) {
	b := Backend{Gramine: pretend(t), Key: key(t)}
	i, err := launchSGX(t, b, teetest.Manifest())
	if err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{
		"sealingkey 1 5 salt": `{"result":"`,
		"sealingkey 2 5 salt": `{"result":"`,
		"sealingkey 2 4 salt": `"unsupported":true`,
		"sealingkey 2 6 salt": `"error":`,
		"evidence 6e":         `{"result":"03000000`,
		"counter a":           `"unsupported":true`,
		"increment a":         `"unsupported":true`,
	} {
		if got := ask(t, i, command); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", command, got, want)
		}
	}
	if ask(t, i, "sealingkey 1 5 salt") == ask(t, i, "sealingkey 2 5 salt") {
		t.Error("the image's key is the signer's")
	}
	if ps := i.Protections(); !ps[0].Active || ps[0].Name != "SGX" || ps[2].Active {
		t.Errorf("protections %+v", ps)
	}
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	if left := leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestSignedBeforehand: a signed enclave is launched if it is the image's, and no
// other.
func TestSignedBeforehand(t *testing.T) {
	b := Backend{Gramine: pretend(t), Key: key(t)}
	m := teetest.Manifest()
	dir := t.TempDir()
	img := &image.Image{Manifest: m, Program: teetest.Build(t, "testdata/testenclave"), Arch: "amd64"}
	libOS, err := FindLibOS(b.Gramine)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Lay(img, Name, libOS)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Write(dir); err != nil {
		t.Fatal(err)
	}
	if err := sign(t.Context(), img, dir, b.Key); err != nil {
		t.Fatal(err)
	}
	t.Setenv(signedVariable, dir)
	signed := Backend{Gramine: b.Gramine}
	i, err := launchSGX(t, signed, m)
	if err != nil {
		t.Fatal(err)
	}
	i.Close()

	set, err := Reference(img)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, signedFile))
	if err != nil {
		t.Fatal(err)
	}
	// The one that signed here takes the manifest's hash for MRENCLAVE.
	if sum := sha256.Sum256(text); set.Values[0].Name != "MRENCLAVE" || !bytes.Equal(set.Values[0].Value, sum[:]) {
		t.Errorf("reference values %+v", set.Values)
	}

	for name, change := range map[string]func(*image.Manifest){
		"another name":    func(m *image.Manifest) { m.Name = "other" },
		"another version": func(m *image.Manifest) { m.SecurityVersion++ },
		"debug":           func(m *image.Manifest) { m.Debug = !m.Debug },
	} {
		other := teetest.Manifest()
		change(&other)
		if _, err := launchSGX(t, signed, other); err == nil || !strings.Contains(err.Error(), "another image's") {
			t.Errorf("%s: %v", name, err)
		}
	}
	sig := filepath.Join(dir, sigFile)
	data, err := os.ReadFile(sig)
	if err != nil {
		t.Fatal(err)
	}
	data[970] ^= 1 // MRENCLAVE
	os.Chmod(sig, 0o600)
	if err := os.WriteFile(sig, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := launchSGX(t, signed, m); err == nil || !strings.Contains(err.Error(), "does not hold") {
		t.Errorf("altered: %v", err)
	}
	if left := leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestLaunchRefused(t *testing.T) {
	b := Backend{Gramine: pretend(t)}
	if _, err := launchSGX(t, b, teetest.Manifest()); err == nil || !strings.Contains(err.Error(), keyVariable) {
		t.Errorf("without a key: %v", err)
	}
	b.Key = filepath.Join(t.TempDir(), "none")
	if _, err := launchSGX(t, b, teetest.Manifest()); err == nil || !strings.Contains(err.Error(), signProgram) {
		t.Errorf("without that key: %v", err)
	}
	b.Gramine = t.TempDir()
	if _, err := launchSGX(t, b, teetest.Manifest()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without Gramine: %v", err)
	}
	if left := leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestFolderOutlivesNobody: the folder goes when whoever made it does, however.
func TestFolderOutlivesNobody(t *testing.T) {
	f, err := newFolder()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.path, "file"), []byte("x"), 0o400); err != nil {
		t.Fatal(err)
	}
	f.life.Close() // what the kernel does to a process that was killed
	if err := f.janitor.Wait(); err != nil {
		t.Error(err)
	}
	if exists(f.path) {
		t.Errorf("%s is still there", f.path)
	}
}
