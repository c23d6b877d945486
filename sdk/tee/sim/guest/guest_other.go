//go:build !linux

package guest

import "github.com/secgear/secgear/sdk/tee"

// Start returns false: the simulation launches enclaves on Linux only.
func Start() (p tee.Platform, ok bool, err error) { return nil, false, nil }
