package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/secgear/secgear/sdk/image"
)

// versions remembers the highest security version seen of each signer and name,
// in a file of the state folder that other processes use at the same time:
//
//	secgear security versions 1
//	<signer, 64 hexadecimal digits> <name> <version, decimal>
//	…
//	sha256 <of all before, 64 hexadecimal digits>
//
// Lines are sorted and end with a newline. The checksum is against accidents:
// whoever can write to the folder can also turn it back.
type versions struct{ dir string }

const (
	versionsFile   = "security-versions"
	versionsHeader = "secgear security versions 1"
	maxVersions    = 1 << 20 // bytes of the file
)

// versionKey is what an image is known by.
type versionKey struct {
	signer image.SignerID
	name   string
}

// check refuses img if a higher version was seen.
func (v versions) check(img *image.Image) error {
	seen, err := v.read()
	if err != nil {
		return err
	}
	m := img.Manifest
	if highest := seen[versionKey{img.Signer, m.Name}]; m.SecurityVersion < highest {
		return fmt.Errorf("%w: %d after %d, which the state folder %s remembers; load an image of version %d or later, or, if this is development, "+
			"take another state folder (SECGEAR_STATE) or forget all versions seen by removing %s",
			ErrRollback, m.SecurityVersion, highest, v.dir, highest, filepath.Join(v.dir, versionsFile))
	}
	return nil
}

// record remembers that img was loaded. It refuses img if a higher version was
// recorded meanwhile.
func (v versions) record(img *image.Image) (err error) {
	unlock, err := lock(filepath.Join(v.dir, versionsFile+".lock"))
	if err != nil {
		return fmt.Errorf("recording the security version: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := v.check(img); err != nil {
		return err
	}
	seen, err := v.read()
	if err != nil {
		return err
	}
	key := versionKey{img.Signer, img.Manifest.Name}
	if had, ok := seen[key]; ok && had == img.Manifest.SecurityVersion {
		return nil
	}
	seen[key] = img.Manifest.SecurityVersion
	if err := replaceFile(filepath.Join(v.dir, versionsFile), formatVersions(seen)); err != nil {
		return fmt.Errorf("recording the security version: %w", err)
	}
	return nil
}

// read returns what is on disk: nothing if there is no file. A damaged file is
// an error, never nothing.
func (v versions) read() (map[versionKey]uint32, error) {
	name := filepath.Join(v.dir, versionsFile)
	data, err := readBounded(name, maxVersions)
	if errors.Is(err, fs.ErrNotExist) {
		return make(map[versionKey]uint32), nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the security versions seen: %w", err)
	}
	seen, err := parseVersions(string(data))
	if err != nil {
		return nil, fmt.Errorf("reading the security versions seen: %s is damaged: %w (restore it, or remove it to forget them all)", name, err)
	}
	return seen, nil
}

func formatVersions(seen map[versionKey]uint32) []byte {
	var lines []string
	for key, version := range maps.All(seen) {
		lines = append(lines, fmt.Sprintf("%v %s %d\n", key.signer, key.name, version))
	}
	slices.Sort(lines)
	text := versionsHeader + "\n" + strings.Join(lines, "")
	return []byte(text + checksumLine(text))
}

func checksumLine(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256 " + hex.EncodeToString(sum[:]) + "\n"
}

// parseVersions reads exactly what formatVersions writes.
func parseVersions(text string) (map[versionKey]uint32, error) {
	last := strings.LastIndexByte(strings.TrimSuffix(text, "\n"), '\n') + 1
	body := text[:last]
	if text[last:] != checksumLine(body) {
		return nil, errors.New("its checksum is wrong")
	}
	lines := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	if lines[0] != versionsHeader {
		return nil, errors.New("its first line is unknown")
	}
	seen := make(map[versionKey]uint32)
	for _, line := range lines[1:] {
		key, version, err := parseVersion(line)
		if err != nil {
			return nil, fmt.Errorf("line %.100q: %w", line, err)
		}
		seen[key] = version
	}
	if string(formatVersions(seen)) != text {
		return nil, errors.New("it is not in canonical form")
	}
	return seen, nil
}

func parseVersion(line string) (key versionKey, version uint32, err error) {
	fields := strings.Split(line, " ")
	if len(fields) != 3 {
		return key, 0, errors.New("it does not have three fields")
	}
	key.name = fields[1]
	key.signer, err = image.ParseSignerID(fields[0])
	n, err2 := strconv.ParseUint(fields[2], 10, 32)
	return key, uint32(n), errors.Join(err, err2)
}

// readBounded reads a regular file of at most most bytes. It waits for nobody.
func readBounded(name string, most int64) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s: larger than %d bytes", name, most)
	}
	return data, err
}

// replaceFile makes name a file with content, durably: whatever happens, it is
// what it was or what it is to be.
func replaceFile(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(name))
}
