package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/build"
)

// enclavePackage is what runs in the enclave.
const enclavePackage = "github.com/secgear/secgear/bench/echo/enclave"

// buildImage builds the enclave, signs it with a key that nobody keeps, and
// returns the name of the image, a file in dir.
func buildImage(ctx context.Context, dir string) (string, error) {
	source, err := sourceDir(ctx)
	if err != nil {
		return "", err
	}
	unsigned, err := build.Image(ctx, build.Options{Dir: source})
	if err != nil {
		return "", fmt.Errorf("building the enclave: %w", err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return "", fmt.Errorf("making a key: %w", err)
	}
	signed, err := image.Sign(unsigned, key)
	if err != nil {
		return "", fmt.Errorf("signing the enclave: %w", err)
	}
	name := filepath.Join(dir, "echo.sgi")
	if err := os.WriteFile(name, signed, 0o600); err != nil {
		return "", fmt.Errorf("writing the enclave: %w", err)
	}
	return name, nil
}

// sourceDir is where the enclave's source is. The benchmark is run from within
// its module.
func sourceDir(ctx context.Context) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", enclavePackage)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("finding the enclave's source (run me in the bench folder): %w\n%s", err, stderr.Bytes())
	}
	return string(bytes.TrimSpace(out)), nil
}
