package imagefile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"

	"github.com/secgear/secgear/internal/atomicfile"
	"github.com/secgear/secgear/sdk/image"
)

// ErrKeyFile: a file that holds no image key, or shows it to others.
var ErrKeyFile = errors.New("not usable as an image key")

// CreateKey makes a random key and writes it to a new file that only its owner
// can read: its 32 bytes and nothing else. A file that is there already is left
// alone; the error then matches [fs.ErrExist].
func CreateKey(name string) (image.Key, error) {
	var secret [image.KeySize]byte
	defer clear(secret[:])
	rand.Read(secret[:])
	key, err := image.NewKey(secret[:])
	if err != nil {
		return image.Key{}, err
	}
	if err := atomicfile.Create(name, key.Secret(), 0o600); err != nil {
		return image.Key{}, err
	}
	return key, nil
}

// ReadKey reads the key in the named file: 32 bytes, and nothing else. A file
// that others than its owner can read or write is refused (but on Windows, where
// its mode does not tell), as is one that is no regular file. The error matches
// [ErrKeyFile] or is one of package os.
func ReadKey(name string) (image.Key, error) {
	key, err := readKey(name)
	if err != nil {
		return image.Key{}, fmt.Errorf("reading image key: %w", err)
	}
	return key, nil
}

func readKey(name string) (image.Key, error) {
	f, info, err := openRegular(name)
	if err != nil {
		return image.Key{}, err
	}
	defer f.Close() // only read from
	if err := checkKeyFile(info); err != nil {
		return image.Key{}, fmt.Errorf("%w: %s %w", ErrKeyFile, name, err)
	}
	secret := make([]byte, image.KeySize)
	defer clear(secret)
	if _, err := io.ReadFull(f, secret); err != nil {
		return image.Key{}, fmt.Errorf("%s: %w", name, err)
	}
	return image.NewKey(secret)
}

// checkKeyFile tells what is wrong with a file that is to hold a key.
func checkKeyFile(info fs.FileInfo) error {
	if perm := info.Mode().Perm(); perm&0o077 != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("is open to others than its owner (mode %04o): chmod 600 it, and make another key if somebody may have read it", perm)
	}
	if info.Size() != image.KeySize {
		return fmt.Errorf("has %d bytes instead of %d (secgear key image makes one)", info.Size(), image.KeySize)
	}
	return nil
}
