package nsm

import (
	"errors"
	"fmt"
	"os"

	"github.com/secgear/secgear/sdk/internal/ioctl"
)

// file is /dev/nsm.
type file struct{ *os.File }

// Open opens the module. The caller closes the session.
func Open() (*Session, error) {
	f, err := os.OpenFile("/dev/nsm", os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("opening the Nitro Secure Module: %w: %w", err, errors.ErrUnsupported)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the Nitro Secure Module: %w", err)
	}
	return NewSession(file{f}), nil
}

// rawRequest is NSM_IOCTL_RAW of linux/nsm.h: two ranges of memory.
var rawRequest = ioctl.Request(ioctl.Read|ioctl.Write, 0x0a, 0, 32)

// Exchange implements [Device].
func (f file) Exchange(request, response []byte) (int, error) {
	return ioctl.Exchange(f.Fd(), rawRequest, request, response)
}
