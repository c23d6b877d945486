package reference_test

import (
	"crypto"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/secgear/secgear/sdk/image/reference"
)

// TestRegister: what a TPM answered that was extended by these digests in PCR 16
// (swtpm 0.7.1, asked with go-tpm v0.9.8).
func TestRegister(t *testing.T) {
	for _, tt := range []struct {
		bank  crypto.Hash
		steps []string
		want  string
	}{
		{crypto.SHA256, nil, "0000000000000000000000000000000000000000000000000000000000000000"},
		{crypto.SHA256, []string{"one"}, "c7e3347570821fed43690c2125ce36b1fb0ca7787ba0f219b8e75ee0fc7b4644"},
		{crypto.SHA256, []string{"one", "two"}, "b88f3f290fe4ac11da329c5515b418b937de9be1abffb4ff40de976ef83a28ee"},
		{crypto.SHA384, []string{"one", "two"}, "9ab05f5f20b059df7187f2c2d7c61e2bf59482f99cf3f7a4fb8af4660b48b12f47f1200d57a0a5f601c987071e885e31"},
	} {
		r := reference.NewRegister(tt.bank)
		for _, s := range tt.steps {
			r.Measure([]byte(s))
		}
		if got := fmt.Sprintf("%x", r.Value()); got != tt.want {
			t.Errorf("%v of %q: %s, want %s", tt.bank, tt.steps, got, tt.want)
		}
	}
}

// TestExtendChecksSize: a digest of another bank is refused, and changes nothing.
func TestExtendChecksSize(t *testing.T) {
	r := reference.NewRegister(crypto.SHA256)
	if err := r.Extend(make([]byte, 48)); err == nil {
		t.Error("extended by 48 bytes")
	}
	if v := r.Value(); string(v) != string(make([]byte, 32)) {
		t.Errorf("holds %x", v)
	}
}

// TestValueIsACopy: changing it changes no register.
func TestValueIsACopy(t *testing.T) {
	r := reference.NewRegister(crypto.SHA256)
	r.Value()[0] = 1
	if r.Value()[0] != 0 {
		t.Error("the register changed")
	}
}

func TestSetAsJSON(t *testing.T) {
	set := reference.Set{
		TEE:    "tdx",
		Values: []reference.Value{{Name: "MRTD", Algorithm: "sha384", Value: reference.Bytes{1, 0xab}}},
		Absent: []reference.Absent{{Name: "RTMR0", Why: "memory"}},
		Inputs: []reference.Input{reference.FileInput("firmware", []byte("abc")), {Name: "processors", Value: "2"}},
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"tee":"tdx","values":[{"name":"MRTD","algorithm":"sha384","value":"01ab"}],"absent":[{"name":"RTMR0","why":"memory"}],` +
		`"inputs":[{"name":"firmware","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","size":3},{"name":"processors","value":"2"}]}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	var again reference.Set
	if err := json.Unmarshal(b, &again); err != nil || again.Values[0].Value.String() != "01ab" {
		t.Errorf("read back %+v, %v", again, err)
	}
	if err := json.Unmarshal([]byte(`{"values":[{"value":"0"}]}`), &again); err == nil {
		t.Error("read half a byte")
	}
}
