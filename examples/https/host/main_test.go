package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net"
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

// TestRelay: a connection that can't be made inside is closed outside, others go
// on, and the end of the context ends all.
func TestRelay(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	fail := make(chan bool, 2)
	fail <- true
	fail <- false
	done := make(chan error, 1)
	go func() {
		done <- relay(ctx, ln, func(context.Context) (net.Conn, error) {
			if <-fail {
				return nil, errors.New("refused")
			}
			a, b := net.Pipe()
			go io.Copy(b, b)
			return a, nil
		})
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	if _, err := dial().Read(make([]byte, 1)); err == nil {
		t.Error("a connection without another end goes on")
	}
	c := dial()
	b := make([]byte, 4)
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "ping" {
		t.Errorf("%q, %v", b, err)
	}
	cancel()
	if _, err := c.Read(b); err == nil {
		t.Error("a connection outlives the relay")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
