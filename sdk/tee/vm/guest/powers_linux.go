package guest

import (
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/secgear/secgear/sdk/tee"
)

// withPowers adds to a platform what the machine has.
func withPowers(p *platform) tee.Platform {
	if p.name == Plain {
		return p
	}
	return &confidential{platform: p}
}

// confidential is a platform whose processor vouches for it: [tee.Attester].
type confidential struct {
	*platform
	mu    sync.Mutex
	ready bool // configfs is mounted
}

// Evidence implements [tee.Attester]: the processor's report, or the quote made of
// it, over data. What was launched is in its measurement, that of the initramfs.
func (c *confidential) Evidence(data [64]byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready {
		err := syscall.Mount("configfs", "/sys/kernel/config", "configfs", syscall.MS_NOSUID|syscall.MS_NOEXEC|syscall.MS_NODEV, "")
		if err != nil && err != syscall.EBUSY {
			return nil, fmt.Errorf("taking evidence: mounting configfs: %w", err)
		}
		c.ready = true
	}
	b, err := report(disk{}, data)
	if err != nil {
		return nil, fmt.Errorf("taking evidence: %w", err)
	}
	return b, nil
}

// disk is the machine's file system.
type disk struct{}

func (disk) Mkdir(name string) error  { return os.Mkdir(name, 0o700) }
func (disk) Remove(name string) error { return os.Remove(name) }

func (disk) ReadFile(name string, limit int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return b, err
}

func (disk) WriteFile(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
