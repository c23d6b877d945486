// Package boot says what secgear's virtual machines boot, and where it is. Those
// who launch them and those who measure them beforehand take it from here, so
// that what is measured is what is launched.
package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Variables that name other files.
const (
	KernelVariable   = "SECGEAR_KERNEL"      // a folder, as scripts/kernel makes it
	FirmwareVariable = "SECGEAR_VM_FIRMWARE" // a file
)

// Kernel and modules in the kernel's folder.
const (
	Kernel  = "vmlinuz"
	Modules = "modules"
)

// Guest is what a kind of confidential machine boots with.
type Guest struct {
	Modules  []string // of the kernel, in the order in which they are loaded
	firmware []string // where it may be; none: the machine needs none
	Fix      string   // how to get the firmware
}

// Guests are the kinds of confidential machines, by the names of their TEEs.
//
// TDX takes no firmware that has Secure Boot on, as Debian's package ovmf-inteltdx
// has: it starts no kernel without a shim.
var Guests = map[string]Guest{
	"sev-snp": {
		[]string{"configfs", "tsm", "sev-guest"},
		[]string{"/usr/share/ovmf/OVMF.amdsev.fd"},
		"scripts/firmware fetches it (Debian's package ovmf-amdsev), or build AmdSev of edk2",
	},
	"tdx": {
		[]string{"configfs", "tsm", "tdx-guest"},
		[]string{"/usr/share/ovmf/OVMF.inteltdx.fd", "/usr/share/ovmf/OVMF.fd"},
		"scripts/firmware fetches it (Debian's package ovmf-generic), or build IntelTdx of edk2",
	},
	"cca": {Modules: []string{"configfs", "tsm", "arm-cca-guest"}},
}

// FindFirmware returns the firmware's file, or "" if none is needed. What
// scripts/firmware has fetched comes first.
func (g Guest) FindFirmware() (string, error) {
	if len(g.firmware) == 0 {
		return "", nil
	}
	files := g.firmware
	if cache, err := os.UserCacheDir(); err == nil {
		var fetched []string
		for _, f := range files {
			fetched = append(fetched, filepath.Join(cache, "secgear", "firmware", filepath.Base(f)))
		}
		files = append(fetched, files...)
	}
	if name := os.Getenv(FirmwareVariable); name != "" {
		files = []string{name}
	}
	for _, f := range files {
		if isFile(f) {
			return f, nil
		}
	}
	return "", fmt.Errorf("the firmware is missing: no file %s", strings.Join(files, " or "))
}

// FindKernel returns the folder of the kernel for programs of arch, a GOARCH.
func FindKernel(arch string) (string, error) {
	var dirs []string
	if dir := os.Getenv(KernelVariable); dir != "" {
		dirs = []string{dir}
	} else {
		if cache, err := os.UserCacheDir(); err == nil {
			dirs = append(dirs, filepath.Join(cache, "secgear", "kernel", arch))
		}
		dirs = append(dirs, filepath.Join("/usr/share/secgear/kernel", arch))
	}
	for _, dir := range dirs {
		if isFile(filepath.Join(dir, Kernel)) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no %s in %s", Kernel, strings.Join(dirs, " or "))
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// maxCPUs is how many processors a machine gets unless it is told.
const maxCPUs = 8

// CPUs is how many processors a machine of this host gets unless it is told.
func CPUs() int { return min(runtime.NumCPU(), maxCPUs) }
