package boot_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/tee/vm/internal/boot"
)

// TestFindFirmware: what was fetched comes before what is installed, and a
// variable before both.
func TestFindFirmware(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv(boot.FirmwareVariable, "")
	fetched := touch(t, filepath.Join(cache, "secgear/firmware/OVMF.amdsev.fd"))
	if got, err := boot.Guests["sev-snp"].FindFirmware(); err != nil || got != fetched {
		t.Errorf("found %q, %v; want %s", got, err, fetched)
	}
	named := touch(t, filepath.Join(cache, "another.fd"))
	t.Setenv(boot.FirmwareVariable, named)
	if got, err := boot.Guests["tdx"].FindFirmware(); err != nil || got != named {
		t.Errorf("found %q, %v; want %s", got, err, named)
	}
	t.Setenv(boot.FirmwareVariable, named+".none")
	if got, err := boot.Guests["tdx"].FindFirmware(); err == nil || !strings.Contains(err.Error(), named+".none") {
		t.Errorf("found %q, %v", got, err)
	}
	if got, err := boot.Guests["cca"].FindFirmware(); err != nil || got != "" {
		t.Errorf("CCA has the firmware %q, %v", got, err)
	}
}

func TestFindKernel(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv(boot.KernelVariable, "")
	dir := filepath.Dir(touch(t, filepath.Join(cache, "secgear/kernel/amd64", boot.Kernel)))
	if got, err := boot.FindKernel("amd64"); err != nil || got != dir {
		t.Errorf("found %q, %v; want %s", got, err, dir)
	}
	t.Setenv(boot.KernelVariable, cache)
	if got, err := boot.FindKernel("amd64"); err == nil {
		t.Errorf("found %q where the variable names none", got)
	}
}

// touch makes a file.
func touch(t *testing.T, name string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}
