package image_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image"
)

// newKey returns a key and every form in which its bytes could be seen.
func newKey(t *testing.T) (key image.Key, forms []string) {
	t.Helper()
	secret := []byte("KEYKEYKEYKEYKEYKEYKEYKEYKEYKEYKE")
	key, err := image.NewKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return key, []string{"KEYKEY", "4b4559", "4B4559", "75 69 89", "75, 69, 89", "75,69,89", "S0VZ", "0x4b, 0x45"}
}

// TestKeyIsNotShown prints, logs and encodes a key in all ways, alone and as
// part of other values.
func TestKeyIsNotShown(t *testing.T) {
	key, forms := newKey(t)
	type outer struct {
		Key image.Key
		P   *image.Key
		M   map[string]any
	}
	values := map[string]any{
		"key": key, "pointer": &key, "struct": outer{key, &key, map[string]any{"k": key}}, "slice": []image.Key{key},
		"error": fmt.Errorf("with %v", key),
	}
	for name, v := range values {
		var out bytes.Buffer
		for _, verb := range strings.Split("v +v #v s q x X d o b p t T", " ") {
			fmt.Fprintf(&out, "%"+verb+"\n", v)
		}
		fmt.Fprintln(&out, v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		if err := json.NewEncoder(&out).Encode(v); err == nil && name != "error" {
			t.Errorf("%s: JSON was written", name)
		}
		if err := gob.NewEncoder(&out).Encode(v); err == nil {
			t.Errorf("%s: gob was written", name)
		}
		for _, form := range forms {
			if strings.Contains(out.String(), form) {
				t.Errorf("%s shows the key as %q:\n%s", name, form, out.String())
			}
		}
	}
}

func TestKey(t *testing.T) {
	if !(image.Key{}).IsZero() || (image.Key{}).Secret() != nil || !(image.Key{}).Clone().IsZero() {
		t.Error("the zero key is one")
	}
	image.Key{}.Wipe()
	for _, n := range []int{0, 31, 33} {
		if k, err := image.NewKey(make([]byte, n)); err == nil || !k.IsZero() {
			t.Errorf("%d bytes were taken", n)
		}
	}
	secret := bytes.Repeat([]byte{7}, image.KeySize)
	key, err := image.NewKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	clear(secret)
	same, clone := key, key.Clone()
	key.Wipe()
	if !bytes.Equal(same.Secret(), make([]byte, 32)) {
		t.Error("a copy outlived Wipe")
	}
	if !bytes.Equal(clone.Secret(), bytes.Repeat([]byte{7}, 32)) {
		t.Error("a clone did not outlive Wipe, or the key shared its maker's bytes")
	}
}

func TestKeyID(t *testing.T) {
	id := image.KeyID{0xab, 31: 1}
	text := "ab" + strings.Repeat("00", 30) + "01"
	if got, err := image.ParseKeyID(strings.ToUpper(text)); err != nil || got != id || got.String() != text || got.IsZero() {
		t.Errorf("ParseKeyID: %v, %v", got, err)
	}
	if got, err := image.ParseKeyID(text[1:]); err == nil || !got.IsZero() {
		t.Errorf("a short ID: %v, %v", got, err)
	}
	if b, err := json.Marshal(id); err != nil || string(b) != `"`+text+`"` {
		t.Errorf("JSON %s, %v", b, err)
	}
}
