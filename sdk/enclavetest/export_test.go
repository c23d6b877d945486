package enclavetest

import (
	"github.com/secgear/secgear/sdk/enclave"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

// Launchable sets o up for setup in this process and returns its image.
func Launchable(m image.Manifest, o *host.Options, setup func(*enclave.Enclave) error) *image.Image {
	o.Backends, o.TEE = []tee.Backend{&backend{setup}}, Name
	return pretend(m, setup)
}
