package edl

import (
	"errors"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/idl/model"
)

// FuzzRead: whatever the source, there is a Go contract or there are faults,
// each at a place that the source has.
func FuzzRead(f *testing.F) {
	for _, tt := range refusals {
		f.Add(strings.Replace(tt.place, "%", tt.src, 1), byte(SGX))
	}
	paths, err := filepath.Glob("testdata/valid/*.edl")
	if err != nil {
		f.Fatal(err)
	}
	for i, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), byte(i%3))
	}
	f.Fuzz(func(t *testing.T, src string, dialect byte) {
		o := Options{Dialect: Dialect(dialect % 3), TrustZone: dialect >= 128, Defines: []string{"A", "B=1"}}
		e, err := read("x.edl", o, files(src))
		if err == nil {
			_, err = e.Go("demo", map[string]bool{"Foo": true})
			var faults model.Faults
			if _, err := e.C(1, nil); err != nil && !errors.As(err, &faults) {
				t.Fatal(err)
			}
			for _, fault := range faults {
				inside(t, src, fault.Pos)
			}
		}
		var faults model.Faults
		if err != nil && !errors.As(err, &faults) {
			t.Fatal(err)
		}
		for _, fault := range append(faults, e.Warnings...) {
			inside(t, src, fault.Pos)
		}
	})
}

// inside expects that pos is in src or in a file that it imports.
func inside(t *testing.T, src string, pos token.Position) {
	t.Helper()
	text := strings.TrimPrefix(src, "\ufeff")
	if pos.Filename != "x.edl" {
		var ok bool
		if text, ok = others[pos.Filename]; !ok {
			t.Fatalf("%v is in no file", pos)
		}
	}
	lines := strings.Split(text, "\n")
	if pos.Line < 1 || pos.Line > len(lines) || pos.Column < 1 || pos.Column > len(lines[pos.Line-1])+1 {
		t.Fatalf("%v is outside of %q", pos, text)
	}
}
