package vm

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/internal/initramfs"
	"github.com/secgear/secgear/sdk/tee/vm/internal/qemu"
)

// Variables that change what is taken.
const (
	machineVariable = "SECGEAR_VM_MACHINE"
	kernelVariable  = "SECGEAR_KERNEL"
)

// machineType is the type of machine for programs of arch.
func (b Backend) machineType(arch string) (string, error) {
	name := b.Machine
	if name == "" {
		name = os.Getenv(machineVariable)
	}
	types := map[string][]string{"amd64": {qemu.Q35, qemu.MicroVM}, "arm64": {qemu.Virt}}[arch]
	switch {
	case types == nil:
		return "", fmt.Errorf("there is no machine for %s: %w", arch, errors.ErrUnsupported)
	case name == "" || b.Machine == "" && len(types) == 1:
		return types[0], nil
	}
	for _, t := range types {
		if t == name {
			return t, nil
		}
	}
	return "", fmt.Errorf("no machine %q for %s: there is %s", name, arch, strings.Join(types, ", "))
}

// kernel is a kernel for guests.
type kernel struct {
	dir  string
	file *os.File // vmlinuz
	size int64
	sum  [sha256.Size]byte
}

// kernelFile is its name in the folder that scripts/kernel makes.
const kernelFile = "vmlinuz"

// kernelDirs are the folders where the kernel for arch may be, the first one that
// has it counts.
func kernelDirs(arch string) []string {
	if dir := os.Getenv(kernelVariable); dir != "" {
		return []string{dir}
	}
	var dirs []string
	if cache, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(cache, "secgear", "kernel", arch))
	}
	return append(dirs, filepath.Join("/usr/share/secgear/kernel", arch))
}

// findKernel returns the folder of the kernel for arch.
func findKernel(arch string) (string, error) {
	dirs := kernelDirs(arch)
	for _, dir := range dirs {
		if info, err := os.Stat(filepath.Join(dir, kernelFile)); err == nil && info.Mode().IsRegular() {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no %s in %s", kernelFile, strings.Join(dirs, " or "))
}

// maxKernel is the size of the largest kernel.
const maxKernel = 256 << 20

// openKernel reads the kernel for arch into a memory file, so that what was
// measured is what boots.
func openKernel(arch string) (*kernel, error) {
	dir, err := findKernel(arch)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(dir, kernelFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	mem, err := memfd("secgear-kernel")
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(mem, h), io.LimitReader(f, maxKernel+1))
	if err == nil && n > maxKernel {
		err = fmt.Errorf("it is larger than %d bytes", maxKernel)
	}
	if err != nil {
		mem.Close()
		return nil, fmt.Errorf("reading the kernel %s: %w", f.Name(), err)
	}
	return &kernel{dir, mem, n, [sha256.Size]byte(h.Sum(nil))}, nil
}

// modules reads the modules of those names.
func (k *kernel) modules(names []string) (list []initramfs.Module, err error) {
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(k.dir, "modules", name+".ko"))
		if err != nil {
			return nil, fmt.Errorf("reading a module of the kernel: %w", err)
		}
		list = append(list, initramfs.Module{Name: name, Data: b})
	}
	return list, nil
}

// findQEMU returns the program for a type of machine.
func findQEMU(machine string) (string, error) {
	path, err := exec.LookPath(qemu.Binary(machine))
	if err != nil {
		return "", fmt.Errorf("finding QEMU: %w", err)
	}
	return filepath.Abs(path)
}

// probeKVM tells why the processor's own virtualisation can't be used for arch.
func probeKVM(arch string) error {
	if arch != runtime.GOARCH {
		return fmt.Errorf("the program is for %s, this machine is %s", arch, runtime.GOARCH)
	}
	fd, err := unix.Open("/dev/kvm", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("/dev/kvm: %w", err)
	}
	defer unix.Close(fd)
	const getAPIVersion, createVM = 0xAE00, 0xAE01
	if v, err := unix.IoctlRetInt(fd, getAPIVersion); err != nil || v != 12 {
		return fmt.Errorf("/dev/kvm speaks version %d: %v", v, err)
	}
	vm, err := unix.IoctlRetInt(fd, createVM)
	if err != nil {
		return fmt.Errorf("/dev/kvm makes no machine: %w", err)
	}
	return unix.Close(vm)
}

// tscKHz is how fast this machine's time stamp counter ticks, as the kernel
// says, or 0.
func tscKHz() uint64 {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) != "cpu MHz" {
			continue
		}
		mhz, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return 0
		}
		return uint64(mhz * 1000)
	}
	return 0
}
