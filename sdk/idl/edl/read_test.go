package edl

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/idl/model"
)

// TestFind: where files are looked for, and in which order.
func TestFind(t *testing.T) {
	const lib = "enclave { trusted { public void NAME(); }; };"
	all := map[string]string{
		"main.edl":     "enclave { from \"lib.edl\" import *; };",
		"sub/main.edl": "enclave { from \"lib.edl\" import *; };",
		"lib.edl":      strings.Replace(lib, "NAME", "here", 1),
		"a/lib.edl":    strings.Replace(lib, "NAME", "in_a", 1),
		"b/lib.edl":    strings.Replace(lib, "NAME", "in_b", 1),
		"sub/lib.edl":  strings.Replace(lib, "NAME", "beside", 1),
		"b/only.edl":   strings.Replace(lib, "NAME", "only_b", 1),
	}
	tests := []struct {
		name, path string
		o          Options
		without    []string // files that are not there
		want       string
	}{
		{"working directory", "main.edl", Options{}, nil, "here"},
		{"search paths first", "main.edl", Options{SearchPaths: []string{"a", "b"}}, nil, "in_a"},
		{"second search path", "main.edl", Options{SearchPaths: []string{"a", "b"}}, []string{"a/lib.edl"}, "in_b"},
		{"Open Enclave: working directory first", "main.edl", Options{Dialect: OpenEnclave, SearchPaths: []string{"a"}}, nil, "here"},
		{"Open Enclave: then search paths", "main.edl", Options{Dialect: OpenEnclave, SearchPaths: []string{"a"}}, []string{"lib.edl"}, "in_a"},
		{"beside the file", "sub/main.edl", Options{}, []string{"lib.edl"}, "beside"},
		{"the file itself", "only.edl", Options{SearchPaths: []string{"a", "b"}}, nil, "only_b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := read(tt.path, tt.o, func(name string) ([]byte, error) {
				text, ok := all[filepath.ToSlash(name)]
				if !ok || slices.Contains(tt.without, filepath.ToSlash(name)) {
					return nil, fs.ErrNotExist
				}
				return []byte(text), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(e.Trusted) != 1 || e.Trusted[0].Name != tt.want {
				t.Errorf("got %v, want %s", e.Trusted, tt.want)
			}
		})
	}
}

// TestUnreadable: files that can't be read are no faults of the source.
func TestUnreadable(t *testing.T) {
	var faults model.Faults
	if _, err := Read(filepath.Join(t.TempDir(), "x.edl"), Options{}); err == nil || errors.As(err, &faults) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Read(t.TempDir(), Options{}); err == nil || errors.As(err, &faults) {
		t.Errorf("a folder: %v", err)
	}
	large := filepath.Join(t.TempDir(), "large.edl")
	if err := os.WriteFile(large, make([]byte, MaxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(large, Options{}); err == nil || !strings.Contains(err.Error(), "is larger than") {
		t.Errorf("a large file: %v", err)
	}
}

// TestDefines: what stands after -D.
func TestDefines(t *testing.T) {
	const src = "enclave { trusted {\n#ifdef A\npublic void f([in] int x[A]);\n#else\npublic void g();\n#endif\n}; };"
	tests := []struct{ name, define, want string }{
		{"nothing", "B", "public void g();"},
		{"name", "A", "public void f([in] int x[1]);"},
		{"value", "A=12", "public void f([in] int x[12]);"},
		{"value of another name", "A=B", "public void f([in] int x[B]);"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := read("x.edl", Options{Dialect: OpenEnclave, Defines: []string{tt.define}}, files(src))
			if err != nil {
				t.Fatal(err)
			}
			if got := e.Trusted[0].String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	for _, define := range []string{"", "=1", "1A", "A-B", "A B=1"} {
		if _, err := read("x.edl", Options{Defines: []string{define}}, files(src)); err == nil || !strings.Contains(err.Error(), "is not a name") {
			t.Errorf("%q: %v", define, err)
		}
	}
}
