//go:build !linux

package guest

import "github.com/secgear/secgear/sdk/tee"

// Start returns false: Gramine is Linux to its programs.
func Start() (p tee.Platform, ok bool, err error) { return nil, false, nil }
