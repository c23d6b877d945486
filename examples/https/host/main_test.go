package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image/build"
	"github.com/secgear/secgear/sdk/image/imagefile"
)

// image builds and signs the enclave's image.
func image(t *testing.T) string {
	t.Helper()
	unsigned, err := build.Image(t.Context(), build.Options{Dir: "../enclave"})
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := imagefile.Sign(unsigned, key)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "https.sgi")
	if err := os.WriteFile(name, signed, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestCurl: what an operator would try, with the certificate from the enclave.
func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	t.Setenv("SECGEAR_STATE", t.TempDir())
	o := options{image: image(t), listen: "127.0.0.1:0", cert: filepath.Join(t.TempDir(), "cert.pem"), serve: true}
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, o, in)
		in.CloseWithError(errors.Join(err, io.EOF))
		done <- err
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	_, url, ok := strings.Cut(strings.TrimSpace(string(line[:n])), "serving ")
	if !ok {
		t.Fatalf("said %q", line[:n])
	}
	cmd := exec.CommandContext(ctx, curl, "--silent", "--show-error", "--fail", "--noproxy", "*", "--ipv4", "--cacert", o.cert, url)
	cmd.Stderr = os.Stderr
	page, err := cmd.Output()
	if err != nil || !strings.HasPrefix(string(page), "Hello from inside. TEE: sim, image: ") {
		t.Errorf("curl: %q, %v", page, err)
	}
	if err := exec.CommandContext(ctx, curl, "--silent", "--noproxy", "*", "--ipv4", url).Run(); err == nil {
		t.Error("curl trusts a certificate that it does not know")
	}
}

// TestShown: without -serve the program asks once and ends.
func TestShown(t *testing.T) {
	t.Setenv("SECGEAR_STATE", t.TempDir())
	var out strings.Builder
	if err := run(t.Context(), options{image: image(t), listen: "127.0.0.1:0"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"https://localhost:", "200 OK", "TLS 1.3", "Hello from inside"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %q", want, out.String())
		}
	}
}
