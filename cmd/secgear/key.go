package main

import (
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/secgear/secgear/internal/keyfile"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/imagefile"
)

// keyInfo is what "secgear key --json" prints.
type keyInfo struct {
	Key    string         `json:"key"` // file
	Signer image.SignerID `json:"signer"`
}

func runKey(i *invocation) error {
	out := i.flags.String("o", "", "new: write the private key to `file`, which must not exist")
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
	case args[0] == "new":
		return misuse("key new: give the file to write with -o, and nothing else")
	case args[0] == "id" && len(args) == 2 && *out == "":
		info.Key = args[1]
		info.Signer, err = keyID(args[1])
	case args[0] == "id":
		return misuse("key id: give one key file")
	default:
		return misuse("key: %q is neither new nor id", args[0])
	}
	if err != nil {
		return err
	}
	if *asJSON {
		return i.printJSON(info)
	}
	_, err = fmt.Fprintln(i.stdout, info.Signer)
	return err
}

// newKey makes a key and returns its signer ID.
func newKey(name, algorithm string) (image.SignerID, error) {
	key, err := keyfile.Generate(algorithm)
	if err != nil {
		return image.SignerID{}, err
	}
	if err := keyfile.Create(name, key); errors.Is(err, fs.ErrExist) {
		return image.SignerID{}, hint(err, "a key is never overwritten: give another name, or remove it first")
	} else if err != nil {
		return image.SignerID{}, err
	}
	return imagefile.SignerOf(key.Public())
}

// keyID returns the signer ID of a private or public key.
func keyID(name string) (image.SignerID, error) {
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
