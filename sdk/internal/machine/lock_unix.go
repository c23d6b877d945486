//go:build unix

package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lock waits until nobody else, in this process or another, holds the lock of
// dir. The lock ends with the process.
func lock(dir string) (unlock func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "measured.lock"), os.O_RDONLY|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	// Whatever the umask: the group of the folder's users need the lock. Only its
	// maker can do that.
	if err := f.Chmod(0o640); err != nil && !errors.Is(err, os.ErrPermission) {
		f.Close()
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil {
			return f.Close, nil
		}
		if err != unix.EINTR {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
		}
	}
}
