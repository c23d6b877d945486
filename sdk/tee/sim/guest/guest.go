// Package guest is the enclave's half of the simulation.
package guest

import (
	"github.com/secgear/secgear/sdk/internal/sandboxed"
	"github.com/secgear/secgear/sdk/tee"
)

// Name is the platform's name, as that of the backend.
const Name = "sim"

// Start returns the platform if this process was launched by the simulation, or
// false at once. It is called once.
func Start() (p tee.Platform, ok bool, err error) { return sandboxed.Start(Name) }
