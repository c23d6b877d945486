package main

import (
	"crypto"
	"errors"
	"fmt"
	"os"

	"github.com/secgear/secgear/internal/atomicfile"
	"github.com/secgear/secgear/internal/keyfile"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/imagefile"
)

// signFlags are the ways to sign: exactly one of key, dev, message and
// signature is given, public only with signature.
type signFlags struct {
	key, message, signature, public string
	dev                             bool
}

func (f *signFlags) check() error {
	ways := 0
	for _, given := range []bool{f.key != "", f.dev, f.message != "", f.signature != ""} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return misuse("sign: give exactly one of --key, --dev, --message-out and --signature")
	}
	if (f.signature != "") != (f.public != "") {
		return misuse("sign: --signature and --public-key go together")
	}
	return nil
}

// signedImage is what "secgear sign --json" prints.
type signedImage struct {
	Image   string          `json:"image,omitempty"`   // file that was signed
	Message string          `json:"message,omitempty"` // file with the message to be signed
	Digest  image.Digest    `json:"digest"`
	Signer  *image.SignerID `json:"signer,omitempty"`
}

func runSign(i *invocation) error {
	var f signFlags
	i.flags.StringVar(&f.key, "key", "", "sign with the private key in `file` (PEM)")
	i.flags.BoolVar(&f.dev, "dev", false, "sign with your development key, which is made if there is none")
	i.flags.StringVar(&f.message, "message-out", "", "write the bytes to be signed to `file`")
	i.flags.StringVar(&f.signature, "signature", "", "take the signature over these bytes from `file`: 64 bytes, or DER for ECDSA")
	i.flags.StringVar(&f.public, "public-key", "", "the signature was made by the key whose public half is in `file` (PEM or DER)")
	out := i.flags.String("o", "", "write the signed image to `file` (default: over the image)")
	asJSON := i.json()
	args, err := i.parse(1, 1)
	if err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	data, err := imagefile.ReadFile(args[0])
	if err != nil {
		return err
	}
	result := signedImage{Image: *out}
	if *out == "" {
		result.Image = args[0]
	}
	if f.message != "" {
		if *out != "" {
			return misuse("sign: --message-out writes no image: -o has no meaning")
		}
		err = i.writeMessage(data, f.message, &result)
	} else {
		err = f.sign(data, &result)
	}
	if err != nil {
		return fmt.Errorf("signing %s: %w", args[0], err)
	}
	if *asJSON {
		return i.printJSON(result)
	}
	return nil
}

// writeMessage is the first of two steps.
func (i *invocation) writeMessage(img []byte, name string, result *signedImage) error {
	f, err := imagefile.Parse(img)
	if err != nil {
		return err
	}
	message, err := imagefile.SigningMessage(img)
	if err != nil {
		return err
	}
	result.Image, result.Message, result.Digest = "", name, f.Digest
	return atomicfile.Write(name, message, 0o644)
}

// sign writes the signed image.
func (f *signFlags) sign(img []byte, result *signedImage) error {
	signed, err := f.signed(img)
	if err != nil {
		return err
	}
	verified, err := imagefile.Verify(signed)
	if err != nil {
		return err
	}
	result.Digest, result.Signer = verified.Digest, &verified.Signer
	return atomicfile.Write(result.Image, signed, 0o644)
}

// signed returns the image with its signature.
func (f *signFlags) signed(img []byte) ([]byte, error) {
	if f.signature != "" {
		return attach(img, f.public, f.signature)
	}
	var key crypto.Signer
	var err error
	if f.dev {
		key, _, err = keyfile.Development()
	} else {
		key, err = keyfile.Private(f.key)
	}
	if err != nil {
		return nil, err
	}
	return imagefile.Sign(img, key)
}

// attach is the second of two steps.
func attach(img []byte, public, signature string) ([]byte, error) {
	key, err := keyfile.Public(public)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(signature)
	if err != nil {
		return nil, fmt.Errorf("reading signature: %w", err)
	}
	if info.Size() > 1<<10 {
		return nil, fmt.Errorf("reading signature %s: too large to be one", signature)
	}
	sig, err := os.ReadFile(signature)
	if err != nil {
		return nil, fmt.Errorf("reading signature: %w", err)
	}
	signed, err := imagefile.Attach(img, key, sig)
	if errors.Is(err, imagefile.ErrSignature) {
		return nil, hint(err, "the signature must be made by that very key over what --message-out wrote for this very image; see secgear help sign")
	}
	return signed, err
}
