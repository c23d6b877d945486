package hardware

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// secretFile holds the machine's secret:
//
//	secretMagic, 32 random bytes, SHA-256 of both
const (
	secretFile  = "platform-secret"
	secretMagic = "secgear simulation secret v1\n"
	secretSize  = len(secretMagic) + 32 + sha256.Size
)

// loadSecret returns the secret in dir, made if there is none.
func loadSecret(dir string) (secret []byte, err error) {
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	secret, err = readSecret(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	content := append([]byte(secretMagic), make([]byte, 32)...)
	rand.Read(content[len(secretMagic):])
	sum := sha256.Sum256(content)
	if err := replaceFile(filepath.Join(dir, secretFile), append(content, sum[:]...)); err != nil {
		return nil, err
	}
	return readSecret(dir)
}

// readSecret reads the secret in dir. A missing file matches fs.ErrNotExist.
func readSecret(dir string) ([]byte, error) {
	name := filepath.Join(dir, secretFile)
	b, err := readSmall(name, secretSize)
	if err != nil {
		return nil, err
	}
	sum := secretSize - sha256.Size
	if len(b) != secretSize || !bytes.HasPrefix(b, []byte(secretMagic)) || sha256.Sum256(b[:sum]) != [32]byte(b[sum:]) {
		return nil, fmt.Errorf("%s is damaged: restore it, or remove it and lose everything sealed on this machine", name)
	}
	return b[len(secretMagic):sum], nil
}

// readSmall reads a file that only its owner may have access to and that should
// have size bytes; of a larger one it returns one byte more.
func readSmall(name string, size int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && info.Mode()&(fs.ModeType|0o077) != 0 {
		return nil, fmt.Errorf("%s: mode %v: must be a file that only its owner can use (chmod 600)", name, info.Mode())
	}
	b := make([]byte, size+1)
	n, err := f.ReadAt(b, 0)
	if n < len(b) && n == int(info.Size()) {
		err = nil // the end of the file, as expected
	}
	return b[:n], err
}
