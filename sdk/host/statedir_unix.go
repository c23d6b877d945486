//go:build unix

package host

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// checkStateDir refuses a folder in which another user can put files: who can,
// decides what this machine has seen and which secret its simulation has. Where a
// folder lies is up to its owner.
func checkStateDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("it is no folder")
	}
	const fix = "take another one by SECGEAR_STATE, or"
	if s, ok := info.Sys().(*syscall.Stat_t); ok && int(s.Uid) != os.Geteuid() && s.Uid != 0 {
		return fmt.Errorf("it belongs to user %d, and this is user %d: %s chown it", s.Uid, os.Geteuid(), fix)
	}
	if perm := info.Mode().Perm(); perm&0o002 != 0 {
		return fmt.Errorf("every user can write to it (mode %04o): %s chmod 700 it", perm, fix)
	}
	return nil
}
