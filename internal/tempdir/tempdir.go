// Package tempdir makes temporary folders. One whose process was killed goes when
// the next one with its prefix is made.
package tempdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Dir is a temporary folder that this process holds until Remove, or its end.
type Dir struct {
	Path string
	held *os.File // nil where folders can't be held
}

// fresh is how old a folder is at most that its maker may not hold yet. Tests
// shorten it.
var fresh = time.Minute

// New makes a folder with a name that begins with prefix, among those for
// temporary files, and removes those of this user with the same prefix that no
// process holds any more.
func New(prefix string) (*Dir, error) {
	path, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, fmt.Errorf("making a temporary folder: %w", err)
	}
	held, err := hold(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("holding a temporary folder: %w", err), os.Remove(path))
	}
	sweep(filepath.Dir(path), prefix)
	return &Dir{path, held}, nil
}

// Remove removes the folder with what is in it.
func (d *Dir) Remove() error {
	err := os.RemoveAll(d.Path)
	if d.held != nil {
		err = errors.Join(err, d.held.Close())
	}
	return err
}

// sweep removes what nobody holds. What can't be removed stays for the next time.
func sweep(parent, prefix string) {
	entries, _ := os.ReadDir(parent)
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < fresh || !ours(info) {
			continue
		}
		path := filepath.Join(parent, e.Name())
		if f, err := hold(path); err == nil && f != nil {
			_ = os.RemoveAll(path)
			f.Close()
		}
	}
}
