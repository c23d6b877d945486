package measured_test

import (
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/measured"
)

// TestReference computes beforehand what a TPM (swtpm) has quoted in the recorded
// evidence, of whose image nothing is needed but what its signature covers.
func TestReference(t *testing.T) {
	evidence := parse(t, recorded(t))
	event, err := measured.ParseEvent(evidence.Event)
	if err != nil {
		t.Fatal(err)
	}
	m := image.DefaultManifest(event.Name)
	m.SecurityVersion, m.Debug = event.SecurityVersion, event.Debug
	set, err := measured.Reference(&image.Image{Digest: event.Digest, Signer: event.Signer, Manifest: m})
	if err != nil {
		t.Fatal(err)
	}
	quoted, err := evidence.Check()
	if err != nil {
		t.Fatal(err)
	}
	want := quoted.PCRs[measured.PCR]
	if v := set.Values[0]; v.Name != "PCR13" || v.Algorithm != "sha256" || string(v.Value) != string(want[:]) {
		t.Errorf("%s %s is %s, the TPM has %x", v.Name, v.Algorithm, v.Value, want)
	}
	if len(set.Values) != 3 || len(set.Values[1].Value) != 48 || set.Values[2].Name != "RTMR3" {
		t.Errorf("values %+v", set.Values)
	}
}
