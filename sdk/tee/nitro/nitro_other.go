//go:build !linux

package nitro

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

type driver any

// Hardware tells whether this machine has the driver: never.
func Hardware() bool { return false }

// Probe implements [tee.Backend].
func (Backend) Probe() tee.Status {
	return tee.Status{Missing: []tee.Missing{{
		What: "Linux", Why: "this is " + runtime.GOOS, Fix: "launch enclaves on Linux",
	}}}
}

// Launch implements [tee.Backend].
func (Backend) Launch(context.Context, *image.Image, tee.LaunchConfig) (tee.Instance, error) {
	return nil, fmt.Errorf("launching a Nitro Enclave on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
