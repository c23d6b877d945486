//go:build !linux

package vm

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

// Probe implements [tee.Backend].
func (b Backend) Probe() tee.Status {
	return tee.Status{Missing: []tee.Missing{{What: "Linux", Why: "this is " + runtime.GOOS, Fix: "use a Linux machine"}}}
}

// Launch implements [tee.Backend]: it fails.
func (b Backend) Launch(context.Context, *image.Image, tee.LaunchConfig) (tee.Instance, error) {
	return nil, fmt.Errorf("launching a virtual machine on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
