package sgx

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee/sgx/sigstruct"
)

// ErrNeedsGramine is why an image alone has no MRENCLAVE.
var ErrNeedsGramine = errors.New("MRENCLAVE covers Gramine's own binary and memory layout, which differ between its versions: only gramine-sgx-sign of the installed one computes it")

// Signed is what gramine-sgx-sign made of an image's enclave.
type Signed struct {
	Manifest  []byte // file "enclave.manifest.sgx"
	Sigstruct *sigstruct.Sigstruct
}

// maxSigned is the size of the largest manifest that is read, in bytes.
const maxSigned = 1 << 20

// ReadSigned reads the signed enclave of img from the folder dir: the files
// enclave.manifest.sgx and enclave.sig. The signature is verified, and what SGX
// does not check at a launch is compared: that program, identity, product,
// security version and debug flag are the image's.
//
// That MRENCLAVE is that of this manifest, nothing but a processor's launch (or
// gramine-sgx-sign anew) tells.
func ReadSigned(img *image.Image, dir string) (*Signed, error) {
	s, err := readSigned(img, dir)
	if err != nil {
		return nil, fmt.Errorf("reading the signed enclave in %s: %w", dir, err)
	}
	return s, nil
}

func readSigned(img *image.Image, dir string) (*Signed, error) {
	sig, err := readFile(filepath.Join(dir, sigFile), sigstruct.Size)
	if err != nil {
		return nil, err
	}
	manifest, err := readFile(filepath.Join(dir, signedFile), maxSigned)
	if err != nil {
		return nil, err
	}
	s := &Signed{Manifest: manifest}
	if s.Sigstruct, err = sigstruct.Parse(sig); err != nil {
		return nil, err
	}
	if err := s.Sigstruct.Verify(); err != nil {
		return nil, err
	}
	return s, s.check(img)
}

// check compares with the image.
func (s *Signed) check(img *image.Image) error {
	l, err := Lay(img, Name, LibOS{})
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name    string
		content []byte
	}{{programFile, l.Program}, {identityFile, l.Identity}} {
		sum := sha256.Sum256(f.content)
		if !strings.Contains(string(s.Manifest), hex.EncodeToString(sum[:])) {
			return fmt.Errorf("it is another image's: %s does not list the SHA-256 of the file %q, %x", signedFile, f.name, sum)
		}
	}
	m, css := img.Manifest, s.Sigstruct
	debug := css.Attributes.Flags&sigstruct.FlagDebug != 0
	switch {
	case css.ProdID != ProdID(m.Name):
		return fmt.Errorf("it has the ISVPRODID %d, %s has %d", css.ProdID, m.Name, ProdID(m.Name))
	case uint32(css.SVN) != m.SecurityVersion:
		return fmt.Errorf("it has the ISVSVN %d, the image's security version is %d", css.SVN, m.SecurityVersion)
	case debug != m.Debug:
		return fmt.Errorf("its debug flag is %t, the image's %t", debug, m.Debug)
	}
	return nil
}

// readFile reads a file of most bytes.
func readFile(name string, most int) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > int64(most) {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", name, most)
	}
	return os.ReadFile(name)
}

// FindLibOS reads Gramine's library OS in the folder dir.
func FindLibOS(dir string) (LibOS, error) {
	name, err := filepath.Abs(filepath.Join(dir, libOSFile))
	if err != nil {
		return LibOS{}, err
	}
	b, err := readFile(name, 64<<20)
	if err != nil {
		return LibOS{}, fmt.Errorf("finding Gramine's library OS: %w", err)
	}
	return LibOS{File: name, SHA256: sha256.Sum256(b)}, nil
}

// Write writes the files of a layout into the folder dir, for gramine-sgx-sign.
func (l *Layout) Write(dir string) error {
	for _, f := range []struct {
		name string
		data []byte
		mode os.FileMode
	}{{programFile, l.Program, 0o500}, {identityFile, l.Identity, 0o400}, {manifestFile, l.Manifest, 0o400}} {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.data, f.mode); err != nil {
			return err
		}
	}
	return nil
}
