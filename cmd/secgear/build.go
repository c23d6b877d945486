package main

import (
	"crypto"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/secgear/secgear/internal/atomicfile"
	"github.com/secgear/secgear/internal/keyfile"
	"github.com/secgear/secgear/internal/terminal"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/build"
	"github.com/secgear/secgear/sdk/image/imagefile"
)

// builtImage is what "secgear build --json" prints.
type builtImage struct {
	Image  string          `json:"image"` // file
	Name   string          `json:"name"`
	Arch   string          `json:"arch"`
	Digest image.Digest    `json:"digest"`
	Signer *image.SignerID `json:"signer,omitempty"`
	Key    *image.KeyID    `json:"image_key,omitempty"` // absent: not encrypted
}

func runBuild(i *invocation) error {
	out := i.flags.String("o", "", "write the image to `file` (default: the enclave's name with .sgi)")
	manifest := i.flags.String("manifest", "", "read the manifest from `file` (default: secgear.json in dir)")
	sign := i.flags.String("sign", "", "sign with the private key in `file`, or with your development key: dev")
	encrypt := i.flags.String("encrypt", "", "encrypt the program with the image key in `file`")
	asJSON := i.json()
	var o build.Options
	i.flags.StringVar(&o.Arch, "arch", runtime.GOARCH, "build for `architecture` amd64, arm64 or riscv64")
	i.flags.StringVar(&o.GoVersion, "go", "", "build with Go `version`, as go1.26.8 (default: what the module selects)")
	i.flags.Func("tags", "build with these `tags`, separated by commas", func(s string) error {
		o.Tags = strings.Split(s, ",")
		return nil
	})
	args, err := i.parse(0, 1)
	if err != nil {
		return err
	}
	if len(args) == 1 {
		o.Dir = args[0]
	}
	if *manifest != "" {
		m, err := build.ReadManifest(*manifest)
		if err != nil {
			return err
		}
		o.Manifest = &m
	}
	var key crypto.Signer
	if *sign != "" {
		if key, err = signingKey(*sign); err != nil {
			return err
		}
	}
	if *encrypt != "" {
		if o.Key, err = readImageKey(*encrypt); err != nil {
			return err
		}
		defer o.Key.Wipe()
	}
	data, err := i.buildImage(o, key)
	if err != nil {
		return err
	}
	return i.deliver(data, *out, *asJSON)
}

// signingKey reads the key that --sign names.
func signingKey(name string) (crypto.Signer, error) {
	if name == "dev" {
		key, _, err := keyfile.Development()
		return key, err
	}
	return keyfile.Private(name)
}

// buildImage builds an image and signs it, if there is a key.
func (i *invocation) buildImage(o build.Options, key crypto.Signer) ([]byte, error) {
	done := terminal.Progress(i.stderr, "building the enclave")
	defer done()
	data, err := build.Image(i, o)
	if errors.Is(err, build.ErrNoManifest) {
		return nil, hint(err, "%s", manifestHint(o.Dir))
	}
	if err != nil || key == nil {
		return data, err
	}
	return imagefile.Sign(data, key)
}

// manifestHint says where the manifest belongs that is not in dir.
func manifestHint(dir string) string {
	if below := filepath.Join(dir, "enclave"); exists(filepath.Join(below, build.ManifestFile)) {
		return "there is an enclave in " + below + ": secgear build ./" + filepath.ToSlash(below)
	}
	return `the manifest stands beside the enclave's main.go; the least is {"name": "demo", "security_version": 1}`
}

// deliver writes an image that was built and prints its digest.
func (i *invocation) deliver(data []byte, out string, asJSON bool) error {
	f, err := imagefile.Parse(data)
	if err != nil {
		return err
	}
	if out == "" {
		out = f.Manifest.Name + ".sgi"
	}
	if info, err := os.Stat(out); err == nil && info.IsDir() {
		out = filepath.Join(out, f.Manifest.Name+".sgi")
	}
	if err := atomicfile.Write(out, data, 0o644); err != nil {
		return err
	}
	i.warnDebug(f)
	if !asJSON {
		_, err := fmt.Fprintln(i.stdout, f.Digest)
		return err
	}
	built := builtImage{Image: out, Name: f.Manifest.Name, Arch: f.Arch, Digest: f.Digest}
	if f.Signature != nil {
		id := f.Signature.Signer()
		built.Signer = &id
	}
	if f.Encrypted != nil {
		built.Key = &f.Encrypted.KeyID
	}
	return i.printJSON(built)
}
