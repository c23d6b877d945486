package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
)

// source is the file to seal.
type source struct {
	*os.File
	name string
	size int64
}

// openSource opens the named file or, without a name, makes one.
func openSource(ctx context.Context, name string, show *progress) (*source, error) {
	if name == "" {
		return makeSource(ctx, show)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("finding the file to seal: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("finding the file to seal: %s is not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("finding the file to seal: %w", err)
	}
	return &source{f, name, info.Size()}, nil
}

// madeSize is the length in bytes of a file made of Go's sources.
const madeSize = 256 << 20

// makeSource makes a file of Go's own sources, which are on every machine that
// this was built on.
func makeSource(ctx context.Context, show *progress) (*source, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("finding Go's sources: %w (name another file with --file)", err)
	}
	f, err := temporary(madeSize)
	if err != nil {
		return nil, err
	}
	defer show.begin("collecting Go's sources", madeSize)()
	root := filepath.Join(string(bytes.TrimSpace(out)), "src")
	if err := concatenate(ctx, f, os.DirFS(root), madeSize, show.advance); err != nil {
		return nil, errors.Join(fmt.Errorf("collecting Go's sources in %s: %w", root, diskFull(err)), f.Close())
	}
	return &source{f, "Go's sources, again and again", madeSize}, nil
}

// concatenate writes the Go files in fsys to w one after the other, and then all
// over again, until it has written size bytes.
func concatenate(ctx context.Context, w io.Writer, fsys fs.FS, size int64, advance func(int)) error {
	out := bufio.NewWriterSize(w, 1<<20)
	for left := size; left > 0; {
		before := left
		err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
			if err = errors.Join(err, ctx.Err()); err != nil || !d.Type().IsRegular() || path.Ext(name) != ".go" {
				return err
			}
			n, err := appendFile(out, fsys, name, left)
			left -= n
			advance(int(n))
			if err == nil && left == 0 {
				return fs.SkipAll
			}
			return err
		})
		if err != nil {
			return err
		}
		if left == before {
			return errors.New("there are none")
		}
	}
	return out.Flush()
}

// appendFile writes at most most bytes of the named file to w.
func appendFile(w io.Writer, fsys fs.FS, name string, most int64) (int64, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(w, io.LimitReader(f, most))
	return n, errors.Join(err, f.Close())
}

// temporary returns a file for that many bytes, in the folder that TMPDIR names. It
// has no name any more: when it is closed it is gone, and also when this program
// is killed.
func temporary(bytes int64) (*os.File, error) {
	dir := os.TempDir()
	if free, known := freeSpace(dir); known && free < bytes {
		return nil, fmt.Errorf("making a temporary file: %s has room for %s, not for %s (set TMPDIR to a folder with more space)",
			dir, size(free), size(bytes))
	}
	f, err := os.CreateTemp(dir, "secgear-vault-")
	if err != nil {
		return nil, fmt.Errorf("making a temporary file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("making a temporary file: %w", err), f.Close())
	}
	return f, nil
}
