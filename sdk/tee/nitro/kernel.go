package nitro

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Environment variables that name other files than the usual ones.
const (
	envKernel  = "SECGEAR_KERNEL"  // the kernel
	envModules = "SECGEAR_MODULES" // the folder of its modules
	envTools   = "SECGEAR_NITRO"   // the folder with QEMU and vhost-device-vsock
)

// awsBlobs is where the package aws-nitro-enclaves-cli-devel puts AWS's kernel.
const awsBlobs = "/usr/share/nitro_enclaves/blobs"

// cache is the folder that scripts/setup fills.
func cache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("looking for secgear's cache: %w", err)
	}
	return filepath.Join(dir, "secgear"), nil
}

// kernelFiles says where an enclave's kernel and its modules are. Debian's
// kernel finds its devices by ACPI, which Nitro's machines don't have, so that on
// AWS it has to be AWS's.
func kernelFiles(emulated bool) (kernel, modules string, err error) {
	if kernel = os.Getenv(envKernel); kernel != "" {
		return kernel, os.Getenv(envModules), nil
	}
	if !emulated {
		name := map[string]string{"amd64": "bzImage", "arm64": "Image"}[runtime.GOARCH]
		return filepath.Join(awsBlobs, name), awsBlobs, nil
	}
	dir, err := cache()
	if err != nil {
		return "", "", err
	}
	dir = filepath.Join(dir, "kernel", "amd64")
	return filepath.Join(dir, "vmlinuz"), filepath.Join(dir, "modules"), nil
}

// FindKernel reads the kernel that this machine's enclaves boot from, or, if
// emulated is true, those that are emulated here.
func FindKernel(emulated bool) (Kernel, error) {
	kernel, modules, err := kernelFiles(emulated)
	if err != nil {
		return Kernel{}, err
	}
	k, err := ReadKernel(kernel, modules)
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w (%s)", err, fixKernel(emulated))
	}
	return k, err
}

// fixKernel says where a kernel comes from.
func fixKernel(emulated bool) string {
	if emulated {
		return "scripts/setup nitro fetches it"
	}
	return "install aws-nitro-enclaves-cli-devel, or set " + envKernel + " and " + envModules
}
