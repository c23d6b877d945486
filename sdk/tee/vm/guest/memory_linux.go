package guest

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

// pciDir is where the kernel shows the PCI devices.
const pciDir = "/sys/bus/pci/devices"

// What QEMU's devices for shared memory say that they are
// (docs/specs/ivshmem-spec in QEMU).
const (
	ivshmemVendor = "0x1af4"
	ivshmemDevice = "0x1110"
)

// maxMemories bounds how many memories are looked for.
const maxMemories = 256

// memory is a memory that the host shares: a window of a PCI device.
type memory struct {
	file string // of the window, to be mapped
	size uint64 // of the window, as the device says

	mu   sync.Mutex
	used bool
}

// findMemories returns the machine's memories, in the order of their addresses
// on the bus.
func findMemories(dir string) ([]*memory, error) {
	devices, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil, fmt.Errorf("looking for shared memory: %w", err)
	}
	var list []*memory
	for _, d := range devices {
		device := dir + "/" + d.Name()
		if attribute(device, "vendor") != ivshmemVendor || attribute(device, "device") != ivshmemDevice {
			continue
		}
		m, err := newMemory(device)
		if err != nil {
			return nil, fmt.Errorf("using shared memory %s: %w", d.Name(), err)
		}
		if list = append(list, m); len(list) == maxMemories {
			break
		}
	}
	return list, nil
}

// attribute reads what the kernel says of a device, or "".
func attribute(device, name string) string {
	b, err := os.ReadFile(device + "/" + name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// newMemory enables a device, and finds its window.
func newMemory(device string) (*memory, error) {
	if err := os.WriteFile(device+"/"+"enable", []byte("1"), 0); err != nil {
		return nil, err
	}
	name := "resource2"
	if runtime.GOARCH == "arm64" {
		name = "resource2_wc" // ordinary memory, whose accesses need not be aligned
	}
	file := device + "/" + name
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	return &memory{file: file, size: uint64(info.Size())}, nil
}

// errUsed: the guest has not done with a memory.
var errUsed = errors.New("the memory is in use")

// open maps the first size bytes. The window is the device's: nobody can shrink
// it.
func (m *memory) open(size uint64) ([]byte, error) {
	if size == 0 || size%uint64(os.Getpagesize()) != 0 || size > m.size {
		return nil, fmt.Errorf("%d bytes are not a number of pages in a window of %d", size, m.size)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used {
		return nil, errUsed
	}
	f, err := os.OpenFile(m.file, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	mem, err := syscall.Mmap(int(f.Fd()), 0, int(size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping %s: %w", m.file, err)
	}
	m.used = true
	return mem, nil
}

// close unmaps what open returned.
func (m *memory) close(mem []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if syscall.Munmap(mem) == nil {
		m.used = false
	}
}
