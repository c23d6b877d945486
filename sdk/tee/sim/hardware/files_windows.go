package hardware

import (
	"os"

	"golang.org/x/sys/windows"
)

// syncDir does nothing: Windows can't sync folders.
func syncDir(string) error { return nil }

// lockFile waits for the lock of f, which ends when f is closed.
func lockFile(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, new(windows.Overlapped))
}
