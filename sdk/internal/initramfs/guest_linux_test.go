package initramfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNotAGuest: an ordinary process is none, also if the environment says so.
func TestNotAGuest(t *testing.T) {
	if _, ok, err := Start("vm"); ok || err != nil {
		t.Errorf("Start: %v, %v", ok, err)
	}
	t.Setenv("SECGEAR_GUEST", "vm")
	if id, ok, err := Start("vm"); !ok || err == nil || id.Manifest.Name != "" {
		t.Errorf("Start with the variable: %+v, %v, %v", id, ok, err)
	}
}

// TestReadFile: no more is read than may be.
func TestReadFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(name, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := readFile(name, 5); err != nil || string(b) != "12345" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := readFile(name, 4); err == nil || !strings.Contains(err.Error(), "more than 4") {
		t.Errorf("error: %v", err)
	}
}
