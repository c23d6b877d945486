//go:build !linux

package sandboxed

import "github.com/secgear/secgear/sdk/tee"

// Start returns false: sandboxes are on Linux only.
func Start(name string) (p tee.Platform, ok bool, err error) { return nil, false, nil }
