//go:build !linux

package sim

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
	return tee.Status{Missing: []tee.Missing{{
		What: "Linux",
		Why:  "this is " + runtime.GOOS,
		Fix:  "run enclaves on Linux; tests may run them in their own process",
	}}}
}

// Launch implements [tee.Backend].
func (Backend) Launch(context.Context, *image.Image, tee.LaunchConfig) (tee.Instance, error) {
	return nil, fmt.Errorf("launching a simulated enclave on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
