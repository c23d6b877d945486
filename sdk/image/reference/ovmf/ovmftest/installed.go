package ovmftest

import (
	"os"
	"path/filepath"
)

// Installed reads a firmware that scripts/firmware has fetched, or a package of
// Debian's installed: "OVMF.fd", "OVMF.amdsev.fd", "OVMF.inteltdx.ms.fd". It is nil
// if this machine has none of that name.
func Installed(name string) []byte {
	folders := []string{"/usr/share/ovmf"}
	if cache, err := os.UserCacheDir(); err == nil {
		folders = append([]string{filepath.Join(cache, "secgear", "firmware")}, folders...)
	}
	for _, folder := range folders {
		if data, err := os.ReadFile(filepath.Join(folder, name)); err == nil {
			return data
		}
	}
	return nil
}
