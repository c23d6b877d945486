package image_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image"
)

func TestIDs(t *testing.T) {
	d := image.Digest{0xab, 31: 1}
	text := "ab" + strings.Repeat("00", 30) + "01"
	if d.String() != text {
		t.Errorf("String %s", d)
	}
	if got, err := image.ParseDigest(strings.ToUpper(text)); err != nil || got != d {
		t.Errorf("ParseDigest: %v, %v", got, err)
	}
	if got, err := image.ParseSignerID(text); err != nil || got != image.SignerID(d) || got.String() != text {
		t.Errorf("ParseSignerID: %v, %v", got, err)
	}
	for _, bad := range []string{"", text[1:], text + "0", text[:63] + "g", text[:62] + " 1"} {
		if got, err := image.ParseDigest(bad); err == nil || !got.IsZero() {
			t.Errorf("ParseDigest(%q): %v, %v", bad, got, err)
		}
		if got, err := image.ParseSignerID(bad); err == nil || !got.IsZero() {
			t.Errorf("ParseSignerID(%q): %v, %v", bad, got, err)
		}
	}
	type both struct {
		D image.Digest
		S image.SignerID
	}
	in := both{d, image.SignerID(d)}
	b, err := json.Marshal(in)
	if err != nil || string(b) != `{"D":"`+text+`","S":"`+text+`"}` {
		t.Fatalf("JSON %s, %v", b, err)
	}
	var out both
	if err := json.Unmarshal(b, &out); err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("JSON round trip: %v, %v", out, err)
	}
}
