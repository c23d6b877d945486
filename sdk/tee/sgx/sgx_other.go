//go:build !linux

package sgx

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

// Probe implements [tee.Backend].
func (Backend) Probe() tee.Status {
	return tee.Status{Missing: []tee.Missing{{What: "Linux", Why: "this is " + runtime.GOOS, Fix: "run enclaves on Linux"}}}
}

// Launch implements [tee.Backend].
func (b Backend) Launch(context.Context, *image.Image, tee.LaunchConfig) (tee.Instance, error) {
	return nil, fmt.Errorf("launching an enclave in %s on %s: %w", b.Name(), runtime.GOOS, errors.ErrUnsupported)
}
