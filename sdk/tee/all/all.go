// Package all is the host's table of backends. Nothing else but it and the
// command knows them all.
package all

import (
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/cvm"
	"github.com/secgear/secgear/sdk/tee/sim"
	"github.com/secgear/secgear/sdk/tee/tpm"
)

// Backends returns every backend, the strongest first. A new one is added here.
func Backends() []tee.Backend {
	return []tee.Backend{cvm.Backend{}, tpm.Backend{}, sim.Backend{}}
}
