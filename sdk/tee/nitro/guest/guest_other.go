//go:build !linux

package guest

import "github.com/secgear/secgear/sdk/tee"

// Start returns false: enclaves run on Linux.
func Start() (p tee.Platform, ok bool, err error) { return nil, false, nil }
