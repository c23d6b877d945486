// Package atomicfile writes files that are there whole or not at all.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write makes the named file hold data. A file that was there is replaced, and
// keeps its content if Write fails; perm, before the umask, is for a file that
// is new and for one that is replaced. What is no regular file, such as a
// device, is written to instead.
func Write(name string, data []byte, perm fs.FileMode) error {
	if err := write(name, data, perm); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

func write(name string, data []byte, perm fs.FileMode) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		if info.IsDir() {
			return errors.New("is a directory")
		}
		return os.WriteFile(name, data, perm)
	}
	temp, err := writeTemp(filepath.Dir(name), data, perm)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, name); err != nil {
		return errors.Join(reason(err), os.Remove(temp))
	}
	return nil
}

// Create is [Write] for a file that must not be there yet: its error matches
// [fs.ErrExist] if it is, even if another process made it at the same moment.
func Create(name string, data []byte, perm fs.FileMode) error {
	temp, err := writeTemp(filepath.Dir(name), data, perm)
	if err == nil {
		err = errors.Join(reason(os.Link(temp, name)), os.Remove(temp))
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// writeTemp writes data to a new file in dir and to the disk, and returns its
// name.
func writeTemp(dir string, data []byte, perm fs.FileMode) (name string, err error) {
	f, err := createTemp(dir, perm)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: the folder %s is missing, make it first", reason(err), dir)
	}
	if err != nil {
		return "", reason(err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// reason is err without the name of a temporary file, which means nothing to
// anybody.
func reason(err error) error {
	var link *os.LinkError
	var path *fs.PathError
	switch {
	case errors.As(err, &link):
		return link.Err
	case errors.As(err, &path):
		return path.Err
	}
	return err
}

// createTemp is os.CreateTemp with permissions, so that the umask counts.
func createTemp(dir string, perm fs.FileMode) (*os.File, error) {
	for i := range 1000 {
		name := filepath.Join(dir, fmt.Sprintf(".secgear-%d-%d", os.Getpid(), i))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
	return nil, errors.New("no free name for a temporary file")
}
