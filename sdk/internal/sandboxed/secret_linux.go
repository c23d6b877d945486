package sandboxed

import (
	"fmt"
	"os"
	"syscall"

	"github.com/secgear/secgear/sdk/tee"
)

// sysMemfdSecret is memfd_secret(2) on all architectures; not in package syscall.
const sysMemfdSecret = 447

// Secret implements [tee.SecretMemory] with memfd_secret(2): pages that are
// taken out of the kernel's own view of memory.
func (p *platform) Secret(n int) (mem []byte, release func(), err error) {
	if n <= 0 || uint64(n) > p.id.Manifest.Memory {
		return nil, nil, fmt.Errorf("getting %d bytes of secret memory: the manifest allows 1 to %d", n, p.id.Manifest.Memory)
	}
	mem, err = secretMemory(n)
	if err != nil {
		return nil, nil, fmt.Errorf("getting %d bytes of secret memory: %w", n, err)
	}
	whole := mem[:cap(mem)]
	return mem, func() {
		clear(whole)
		syscall.Munmap(whole)
	}, nil
}

// secretMemory maps n bytes.
func secretMemory(n int) ([]byte, error) {
	page := os.Getpagesize()
	size := (n + page - 1) / page * page
	fd, _, errno := syscall.Syscall(sysMemfdSecret, syscall.O_CLOEXEC, 0, 0)
	if errno != 0 {
		return nil, fmt.Errorf("memfd_secret: %w", errno) // ENOSYS is ErrUnsupported
	}
	defer syscall.Close(int(fd))
	if err := syscall.Ftruncate(int(fd), int64(size)); err != nil {
		return nil, err
	}
	mem, err := syscall.Mmap(int(fd), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return mem[:n], nil
}

// probeSecretMemory tries whether the kernel has secret memory.
func probeSecretMemory() tee.Protection {
	p := tee.Protection{Name: "secret memory"}
	mem, err := secretMemory(1)
	if err != nil {
		p.Reason = err.Error()
		return p
	}
	syscall.Munmap(mem[:cap(mem)])
	p.Active = true
	return p
}
