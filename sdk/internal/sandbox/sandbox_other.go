//go:build !linux

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

// ProbeArch says that there are no sandboxes here.
func (TEE) ProbeArch(string) tee.Status {
	return tee.Status{Missing: []tee.Missing{{
		What: "Linux",
		Why:  "this is " + runtime.GOOS,
		Fix:  "run enclaves on Linux; tests may run them in their own process",
	}}}
}

// Launch fails.
func (TEE) Launch(context.Context, *image.Image, tee.LaunchConfig) (tee.Instance, error) {
	return nil, fmt.Errorf("launching a sandboxed process on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
