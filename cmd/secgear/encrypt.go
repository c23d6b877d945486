package main

import (
	"errors"
	"fmt"

	"github.com/secgear/secgear/internal/atomicfile"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/imagefile"
)

// encryptedImage is what "secgear encrypt --json" prints.
type encryptedImage struct {
	Image  string       `json:"image"` // file
	Digest image.Digest `json:"digest"`
	Key    image.KeyID  `json:"image_key"`
}

func runEncrypt(i *invocation) error {
	keyFile := i.flags.String("key", "", "encrypt with the image key in `file`")
	out := i.flags.String("o", "", "write the encrypted image to `file` (default: over the image)")
	asJSON := i.json()
	args, err := i.parse(1, 1)
	if err != nil {
		return err
	}
	if *keyFile == "" {
		return misuse("encrypt: give the image key with --key")
	}
	result := encryptedImage{Image: *out}
	if *out == "" {
		result.Image = args[0]
	}
	if err := i.encrypt(args[0], *keyFile, &result); err != nil {
		return err
	}
	if *asJSON {
		return i.printJSON(result)
	}
	_, err = fmt.Fprintln(i.stdout, result.Digest)
	return err
}

// encrypt writes the encrypted image.
func (i *invocation) encrypt(name, keyFile string, result *encryptedImage) error {
	key, err := readImageKey(keyFile)
	if err != nil {
		return err
	}
	defer key.Wipe()
	data, err := imagefile.ReadFile(name)
	if err != nil {
		return err
	}
	encrypted, err := imagefile.Encrypt(data, key)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	f, err := imagefile.Parse(encrypted)
	if err != nil {
		return err
	}
	i.warnDebug(f)
	result.Digest, result.Key = f.Digest, f.Encrypted.KeyID
	return atomicfile.Write(result.Image, encrypted, 0o644)
}

// readImageKey reads an image key.
func readImageKey(name string) (image.Key, error) {
	key, err := imagefile.ReadKey(name)
	if errors.Is(err, imagefile.ErrKeyFile) {
		err = hint(err, "an image key is a file of %d random bytes that only its owner can read: secgear key image -o FILE makes one", image.KeySize)
	}
	return key, err
}

// warnDebug tells of an image whose encryption its debugging undoes.
func (i *invocation) warnDebug(f *imagefile.File) {
	if f.Encrypted != nil && f.Manifest.Debug {
		fmt.Fprintf(i.stderr, "secgear: warning: %s is encrypted and a debug image: whoever may inspect its enclave reads the program\n", f.Manifest.Name)
	}
}
