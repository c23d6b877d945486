// Package guest is the enclave's half of package cvm.
package guest

import (
	"github.com/secgear/secgear/sdk/internal/sandboxed"
	"github.com/secgear/secgear/sdk/tee"
)

// Name is the platform's name, as that of the backend.
const Name = "cvm"

// Start returns the platform if this process was launched by the backend, or
// false at once. It is called once.
func Start() (p tee.Platform, ok bool, err error) { return sandboxed.Start(Name) }
