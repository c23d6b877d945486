//go:build !unix

package host

import "sync"

// processLock stands in for a lock between processes: enclaves run on Linux,
// elsewhere there are only tests in one process.
var processLock sync.Mutex

// lock waits until no one else in this process has the lock.
func lock(string) (unlock func() error, err error) {
	processLock.Lock()
	return func() error { processLock.Unlock(); return nil }, nil
}

// syncDir does nothing: there is no such call here.
func syncDir(string) error { return nil }
