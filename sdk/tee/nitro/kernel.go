package nitro

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Environment variables that name other folders than the usual ones.
const (
	envKernel  = "SECGEAR_NITRO_KERNEL" // of the kernel; see ReadKernel
	envMachine = "SECGEAR_KERNEL"       // of the kernel for all enclaves that are machines
	envTools   = "SECGEAR_NITRO"        // of QEMU and vhost-device-vsock
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

// kernelDir is where an enclave's kernel is. Debian's kernel finds its devices by
// ACPI, which Nitro's machines don't have, so that on AWS it has to be AWS's.
func kernelDir(emulated bool) (string, error) {
	if dir := os.Getenv(envKernel); dir != "" {
		return dir, nil
	}
	if !emulated {
		return awsBlobs, nil
	}
	if dir := os.Getenv(envMachine); dir != "" {
		return dir, nil
	}
	dir, err := cache()
	return filepath.Join(dir, "kernel", "amd64"), err
}

// FindKernel reads the kernel that this machine's enclaves boot from, or, if
// emulated is true, those that are emulated here.
func FindKernel(emulated bool) (Kernel, error) {
	dir, err := kernelDir(emulated)
	if err != nil {
		return Kernel{}, err
	}
	k, err := ReadKernel(dir)
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
	return "install aws-nitro-enclaves-cli-devel, or set " + envKernel + " to the folder of a kernel"
}
