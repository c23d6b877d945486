package rendezvous

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// EnvDir names the environment's variable that says where [Dir] is.
const EnvDir = "SECGEAR_RUN"

// Dir returns the folder of sockets: the environment's SECGEAR_RUN, else
// secgear in XDG_RUNTIME_DIR, else /run/secgear for root and secgear-UID in the
// folder for temporary files for others. It is made, mode 0700, if it is not
// there. It must be a folder, no link to one, of this user's or root's, in which
// nobody else may write.
func Dir() (string, error) {
	dir, err := place()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("making the folder of running enclaves: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("making the folder of running enclaves: %w", err)
	}
	if err := checkDir(dir); err != nil {
		return "", fmt.Errorf("the folder of running enclaves (%s sets it): %w", EnvDir, err)
	}
	return dir, nil
}

// place is where Dir should be.
func place() (string, error) {
	if dir := os.Getenv(EnvDir); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "secgear"), nil
	}
	uid := os.Geteuid()
	if uid == 0 {
		return "/run/secgear", nil
	}
	return filepath.Abs(filepath.Join(os.TempDir(), "secgear-"+strconv.Itoa(uid)))
}

// checkDir refuses a folder in which others can put sockets of their own.
func checkDir(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", dir)
	case !ok || int(st.Uid) != os.Geteuid() && st.Uid != 0:
		return fmt.Errorf("%s belongs to another user", dir)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others may write in %s (mode %v)", dir, info.Mode().Perm())
	}
	return nil
}
