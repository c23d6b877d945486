//go:build unix

package imagefile_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/secgear/secgear/sdk/image/imagefile"
)

// TestNobodyIsWaitedFor: a pipe that nobody writes to, or a device, in place of a
// file is refused at once.
func TestNobodyIsWaitedFor(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skipf("no named pipes here: %v", err)
	}
	for _, name := range []string{fifo, os.DevNull} {
		if _, err := imagefile.ReadFile(name); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("image in %s: %v", name, err)
		}
		if _, err := imagefile.ReadKey(name); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("key in %s: %v", name, err)
		}
	}
}
