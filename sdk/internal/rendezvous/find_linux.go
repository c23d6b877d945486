package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// List returns the running enclaves in [Dir], sorted. It removes the sockets
// that owners which died left there.
func List(ctx context.Context) ([]Entry, error) {
	dir, err := Dir()
	if err != nil {
		return nil, err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing running enclaves: %w", err)
	}
	var list []Entry
	for _, f := range files {
		e, ok := parseFileName(f.Name())
		if !ok {
			sweep(dir, f)
			continue
		}
		e.Path = filepath.Join(dir, f.Name())
		alive, err := e.alive(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing running enclaves: %w", err)
		}
		if alive {
			list = append(list, e)
		}
	}
	sortEntries(list)
	return list, nil
}

// sweep removes a socket whose maker died before it was ready.
func sweep(dir string, f os.DirEntry) {
	if !strings.HasPrefix(f.Name(), unfinished) || f.Type() != os.ModeSocket {
		return
	}
	info, err := f.Info()
	if err != nil || time.Since(info.ModTime()) < makingTime {
		return
	}
	path := filepath.Join(dir, f.Name())
	if clear(path) == nil {
		_ = os.Remove(path) // another lister may be faster
	}
}

// makingTime is how long a socket may take to become ready. Tests shorten it.
var makingTime = time.Minute

// alive tells whether somebody listens, and removes the socket if not. Sockets
// get their names only once somebody listens.
func (e Entry) alive(ctx context.Context) (bool, error) {
	conn, err := Dial(ctx, e.Path)
	switch {
	case err == nil:
		return true, conn.Close()
	case errors.Is(err, syscall.ECONNREFUSED):
		err = os.Remove(e.Path)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
			err = nil // another lister was faster, or it's for another one to do
		}
		return false, err
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	}
	return true, nil // it is there, if not for us
}

// Find returns the path of the socket of a running enclave: name is a path,
// which has a '/' in it, or the name of an enclave in [Dir] of which exactly one
// runs, or that with process and number. The error matches [ErrNotFound] if
// there is none.
func Find(ctx context.Context, name string) (string, error) {
	if strings.ContainsRune(name, '/') {
		return name, nil
	}
	list, err := List(ctx)
	if err != nil {
		return "", err
	}
	e, err := pick(list, name)
	return e.Path, err
}

// Dial connects to the socket at path.
func Dial(ctx context.Context, path string) (*net.UnixConn, error) {
	short, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", short)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return nil, fmt.Errorf("connecting to %s: %w", path, err)
	}
	return conn.(*net.UnixConn), nil
}

// Ask sends a request to the socket at path and returns the answer, after which
// the connection ends. The error may be a [*Refused].
func Ask(ctx context.Context, path string, kind Kind, payload []byte) ([]byte, error) {
	return AskFor(ctx, path, kind, payload, 0)
}

// AskFor is Ask for what takes a while: that much longer than usual.
func AskFor(ctx context.Context, path string, kind Kind, payload []byte, more time.Duration) ([]byte, error) {
	conn, err := Dial(ctx, path)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2*Patience + more)); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err = conn.Write(AppendFrame(nil, kind, payload)); err == nil {
		payload, err = ReadResult(conn)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", path, err)
	}
	return payload, nil
}

// maxPath is the length of a socket's path at most.
const maxPath = 107

// shorten returns a name for path that fits a socket's address, until done is
// called.
func shorten(path string) (short string, done func(), err error) {
	if len(path) <= maxPath {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	short = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	if len(short) > maxPath {
		dir.Close()
		return "", nil, fmt.Errorf("the socket's name is too long: %s", path)
	}
	return short, func() { dir.Close() }, nil
}
