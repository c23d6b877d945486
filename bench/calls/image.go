package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/secgear/secgear/sdk/image/build"
	"github.com/secgear/secgear/sdk/image/imagefile"
)

const (
	imageFile = "echo.sgi"
	siteFile  = "https.sgi"
)

// images are the enclaves by the files that they are built into.
var images = map[string]string{
	imageFile: "github.com/secgear/secgear/bench/echo/enclave",
	siteFile:  "github.com/secgear/secgear/examples/https/enclave",
}

// buildImages builds the enclaves into dir.
func buildImages(ctx context.Context, dir string) error {
	for file, pkg := range images {
		if err := buildImage(ctx, filepath.Join(dir, file), pkg); err != nil {
			return err
		}
	}
	return nil
}

// buildImage builds an enclave into file, signed with a key that nobody keeps.
func buildImage(ctx context.Context, file, pkg string) error {
	source, err := sourceDir(ctx, pkg)
	if err != nil {
		return err
	}
	unsigned, err := build.Image(ctx, build.Options{Dir: source})
	if err != nil {
		return fmt.Errorf("building the enclave: %w", err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	signed, err := imagefile.Sign(unsigned, key)
	if err != nil {
		return fmt.Errorf("signing the enclave: %w", err)
	}
	if err := os.WriteFile(file, signed, 0o600); err != nil {
		return fmt.Errorf("writing the enclave: %w", err)
	}
	return nil
}

// sourceDir is where the enclave's source is. The benchmark is run from within
// its module.
func sourceDir(ctx context.Context, pkg string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", pkg)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("finding the enclave's source (run me in the bench folder): %w\n%s", err, stderr.Bytes())
	}
	return string(bytes.TrimSpace(out)), nil
}
