package main

import (
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/secgear/secgear/internal/keyfile"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/imagefile"
)

// keyInfo is what "secgear key --json" prints.
type keyInfo struct {
	Key      string          `json:"key"`                 // file
	Signer   *image.SignerID `json:"signer,omitempty"`    // of a key that signs
	ImageKey *image.KeyID    `json:"image_key,omitempty"` // of one that encrypts
}

func runKey(i *invocation) error {
	out := i.flags.String("o", "", "new, image: write the key to `file`, which must not exist")
	algorithm := i.flags.String("alg", keyfile.Algorithms[0], "new: make a key for `algorithm` "+strings.Join(keyfile.Algorithms, ", "))
	asJSON := i.json()
	args, err := i.parse(1, 2)
	if err != nil {
		return err
	}
	info := keyInfo{Key: *out}
	switch {
	case args[0] == "new" && len(args) == 1 && *out != "":
		info.Signer, err = newKey(*out, *algorithm)
	case args[0] == "image" && len(args) == 1 && *out != "":
		info.ImageKey, err = newImageKey(*out)
	case args[0] == "new" || args[0] == "image":
		return misuse("key %s: give the file to write with -o, and nothing else", args[0])
	case args[0] == "id" && len(args) == 2 && *out == "":
		info.Key = args[1]
		info.Signer, info.ImageKey, err = keyID(args[1])
	case args[0] == "id":
		return misuse("key id: give one key file")
	default:
		return misuse("key: %q is none of new, image and id", args[0])
	}
	if err != nil {
		return err
	}
	if *asJSON {
		return i.printJSON(info)
	}
	if info.ImageKey != nil {
		_, err = fmt.Fprintln(i.stdout, info.ImageKey)
	} else {
		_, err = fmt.Fprintln(i.stdout, info.Signer)
	}
	return err
}

// newKey makes a key and returns its signer ID.
func newKey(name, algorithm string) (*image.SignerID, error) {
	key, err := keyfile.Generate(algorithm)
	if err != nil {
		return nil, err
	}
	if err := keyfile.Create(name, key); err != nil {
		return nil, neverOverwritten(err)
	}
	id, err := imagefile.SignerOf(key.Public())
	return &id, err
}

// newImageKey makes an image key and returns its ID.
func newImageKey(name string) (*image.KeyID, error) {
	key, err := imagefile.CreateKey(name)
	if err != nil {
		return nil, neverOverwritten(err)
	}
	defer key.Wipe()
	id := imagefile.KeyIDOf(key)
	return &id, nil
}

// neverOverwritten adds what to do about a key that is there already.
func neverOverwritten(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return hint(err, "a key is never overwritten: give another name, or remove it first")
	}
	return err
}

// keyID returns the ID of a key: of an image key, which a file of its size is
// taken for, or the signer ID of a private or public one.
func keyID(name string) (*image.SignerID, *image.KeyID, error) {
	if info, err := os.Stat(name); err == nil && info.Size() == image.KeySize {
		key, err := readImageKey(name)
		if err != nil {
			return nil, nil, err
		}
		defer key.Wipe()
		id := imagefile.KeyIDOf(key)
		return nil, &id, nil
	}
	signer, err := signerID(name)
	return &signer, nil, err
}

// signerID returns the signer ID of a private or public key.
func signerID(name string) (image.SignerID, error) {
	var public crypto.PublicKey
	key, err := keyfile.Private(name)
	if err == nil {
		public = key.Public()
	} else if p, e := keyfile.Public(name); e == nil {
		public = p
	} else {
		return image.SignerID{}, err
	}
	return imagefile.SignerOf(public)
}
