package measured

import (
	"crypto"
	"fmt"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/reference"
	"github.com/secgear/secgear/sdk/tee"
)

// CommandLineOf is what the program of an image is started with.
func CommandLineOf(img *image.Image) string { return img.Manifest.Name }

// Reference computes what the registers hold after img was measured, as the first
// image since the machine started: zeros extended by its event. Of a machine that
// has launched others before, the log explains the value ([Evidence.Check]), and
// the event is what to look for in it.
func Reference(img *image.Image) (*reference.Set, error) {
	e := EventOf(tee.Identity{Digest: img.Digest, Signer: img.Signer, Manifest: img.Manifest}, CommandLineOf(img))
	event, err := e.Encode()
	if err != nil {
		return nil, err
	}
	set := &reference.Set{
		TEE: "tpm",
		Absent: []reference.Absent{
			{Name: "other PCRs", Why: "they hold how the machine was started up to secgear"},
		},
		Inputs: []reference.Input{reference.FileInput("event", event), {Name: "command line", Value: e.CommandLine}},
	}
	pcr, rtmr := fmt.Sprintf("PCR%d", PCR), fmt.Sprintf("RTMR%d", RTMR)
	for _, v := range []struct {
		name string
		bank crypto.Hash
		alg  string
	}{{pcr, crypto.SHA256, "sha256"}, {pcr, crypto.SHA384, "sha384"}, {rtmr, crypto.SHA384, "sha384"}} {
		r := reference.NewRegister(v.bank)
		r.Measure(event)
		set.Values = append(set.Values, reference.Value{Name: v.name, Algorithm: v.alg, Value: r.Value()})
	}
	return set, nil
}
