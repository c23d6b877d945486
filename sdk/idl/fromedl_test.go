package idl

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/idl/edl"
	"github.com/secgear/secgear/sdk/idl/model"
)

// comment returns what stands after a word in the comments that begin a file.
func comment(src, word string) (string, bool) {
	for line := range strings.Lines(src) {
		rest, ok := strings.CutPrefix(line, "// "+word+": ")
		if ok {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}

// TestValidEDL: each construct is accepted in the dialects that its file names,
// refused in the others or not looked at, becomes what the file says, and
// compiles with its stubs and tests.
func TestValidEDL(t *testing.T) {
	paths, err := filepath.Glob("edl/testdata/valid/*.edl")
	if err != nil || len(paths) < 60 {
		t.Fatalf("only %d files, %v", len(paths), err)
	}
	mod := checkout(t)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		src := string(text)
		dialects, ok := comment(src, "dialects")
		want, ok2 := comment(src, "want")
		if !ok || !ok2 {
			t.Fatalf("%s does not say what it is", path)
		}
		for _, name := range strings.Fields(dialects) {
			t.Run(strings.TrimSuffix(filepath.Base(path), ".edl")+"/"+name, func(t *testing.T) {
				d, ok := edl.ParseDialect(name)
				if !ok {
					t.Fatalf("no dialect %s", name)
				}
				pkg := packageName(strings.TrimSuffix(filepath.Base(path), ".edl"))
				dir := filepath.Join(mod, name, pkg)
				g := EDL{Options: edl.Options{Dialect: d}, Path: path, Dir: dir}
				if _, _, err := g.Generate(); err != nil {
					t.Fatal(err)
				}
				if got := read(t, dir, pkg+"_edl.go"); !strings.Contains(strings.Join(strings.Fields(got), " "), strings.Join(strings.Fields(want), " ")) {
					t.Errorf("no %s in\n%s", want, got)
				}
				if _, err := g.Check(); err != nil {
					t.Error(err)
				}
			})
		}
	}
	vet := exec.Command("go", "vet", "./...")
	vet.Dir = mod
	if out, err := vet.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// checkout returns the folder of a module that uses this one.
func checkout(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	gomod = bytes.Replace(gomod, []byte("module github.com/secgear/secgear"), []byte("module example.com/edl"), 1)
	gomod = append(gomod, "\nrequire github.com/secgear/secgear v0.0.0\n\nreplace github.com/secgear/secgear => "+root+"\n"...)
	return module(t, map[string]string{"go.mod": string(gomod), "go.sum": string(sum)})
}

// goldens are complete EDL files, each with the contract and stubs that are made
// of it in the folder beside it.
var goldens = []EDL{
	{Path: "edl/testdata/golden/secgear/keystore.edl"},
	{Path: "edl/testdata/golden/sgx/ledger.edl", Options: edl.Options{Dialect: edl.SGX, Defines: []string{"WITH_DEBUG"}}},
	{Path: "edl/testdata/golden/openenclave/mixer.edl", Options: edl.Options{Dialect: edl.OpenEnclave}},
}

func TestGoldenEDL(t *testing.T) {
	args := []string{"vet"}
	for _, g := range goldens {
		t.Run(g.Dialect.String(), func(t *testing.T) {
			if *update {
				if _, _, err := g.Generate(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := g.Check(); err != nil {
				t.Errorf("%v\nif that is right: go test ./sdk/idl -update", err)
			}
		})
		args = append(args, "./"+strings.TrimSuffix(g.Path, ".edl"))
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestEDLFiles: where what is made of EDL goes, and what is left alone.
func TestEDLFiles(t *testing.T) {
	const src = "enclave { trusted { public void f(point_t p); }; };\n"
	dir := module(t, map[string]string{"a-b.edl": src})
	g := EDL{Path: filepath.Join(dir, "a-b.edl")}
	if _, err := g.Check(); !errors.Is(err, ErrStale) {
		t.Errorf("checking before generating: %v", err)
	}
	written, warnings, err := g.Generate()
	if err != nil || len(written) != 3 || len(warnings) != 1 {
		t.Fatalf("wrote %v, warned %v, error %v", written, warnings, err)
	}
	if got := read(t, dir, "ab/ab_edl.go"); !strings.Contains(got, "type PointT []byte") || !strings.Contains(got, "package ab\n") {
		t.Errorf("the contract is\n%s", got)
	}
	write(t, dir, "ab/types.go", "package ab\n\n// PointT is a point.\ntype PointT struct{ X, Y int32 }\n")
	if _, warnings, err = g.Generate(); err != nil || warnings != nil {
		t.Errorf("with a type declared by hand: %v, %v", warnings, err)
	}
	if got := read(t, dir, "ab/ab_edl.go"); strings.Contains(got, "type PointT") {
		t.Errorf("the type is declared twice:\n%s", got)
	}
	write(t, dir, "a-b.edl", "enclave { trusted { public void f([in] int p); }; };\n")
	var faults model.Faults
	if _, _, err := g.Generate(); !errors.As(err, &faults) {
		t.Errorf("a faulty file: %v", err)
	}
	if got := read(t, dir, "ab/ab_edl.go"); !strings.Contains(got, "PointT") {
		t.Error("a faulty file changed the contract")
	}
	write(t, dir, "a-b.edl", src)
	write(t, dir, "ab/ab_edl.go", "package ab // mine\n")
	if _, _, err := g.Generate(); err == nil || !strings.Contains(err.Error(), "was not generated by secgear") {
		t.Errorf("a file of this name that somebody wrote: %v", err)
	}
}

// TestEDLWithoutModule: the contract is called after its package.
func TestEDLWithoutModule(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "x.edl", "enclave { trusted { public void f(); }; };\n")
	_, warnings, err := EDL{Path: filepath.Join(dir, "x.edl")}.Generate()
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].Text, "is in no module") {
		t.Errorf("%v, %v", warnings, err)
	}
	if got := read(t, dir, "x/secgear_gen.go"); !strings.Contains(got, `"x.Trusted"`) {
		t.Errorf("no x.Trusted in\n%s", got)
	}
}

// notInC are the valid files that have no counterpart in C, with a word of why.
var notInC = map[string]string{
	"deep_out":     "comes back alone",
	"enum_empty":   "an enum without values",
	"struct_empty": "an empty struct",

	"struct_undeclared": "", // of types that only headers have, passed by value
}

// TestValidEDLInC: what is made of each construct in C compiles without a
// warning.
func TestValidEDLInC(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("gcc is not installed")
	}
	paths, err := filepath.Glob("edl/testdata/valid/*.edl")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range goldens {
		paths = append(paths, g.Path)
	}
	dir := t.TempDir()
	header, err := filepath.Abs("edl/testdata/foreign.h")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".edl")
		e, err := readFirst(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range e.Untrusted { // so that their parameters are tried, too
			f.Public = true
			e.Trusted = append(e.Trusted, f)
		}
		host, err := e.C(1, nil)
		if word, ok := notInC[name]; ok {
			if word == "" {
				continue
			}
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		write(t, dir, name+"_u.h", string(host.Header))
		write(t, dir, name+"_u.c", string(host.Source))
		for _, i := range e.Includes {
			write(t, dir, i.Name, "")
		}
	}
	api, err := filepath.Abs("internal/fromedl/testdata")
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob(filepath.Join(dir, "*_u.c"))
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I" + dir, "-I" + api, "-include", header}, sources...)
	if out, err := exec.Command(gcc, args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// readFirst reads an EDL file in the first of its dialects.
func readFirst(path string) (*edl.Enclave, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	names, ok := comment(string(text), "dialects")
	if !ok {
		names = filepath.Base(filepath.Dir(path))
	}
	d, _ := edl.ParseDialect(strings.Fields(names)[0])
	return edl.Read(path, edl.Options{Dialect: d})
}

// FuzzEDL: of whatever EDL a contract can be made, there are stubs: what can't
// be is told of the EDL and not of the contract.
func FuzzEDL(f *testing.F) {
	paths, err := filepath.Glob("edl/testdata/valid/*.edl")
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
		dir := t.TempDir()
		write(t, dir, "x.edl", src)
		g := EDL{Options: edl.Options{Dialect: edl.Dialect(dialect % 3)}, Path: filepath.Join(dir, "x.edl")}
		_, _, err := g.files()
		var faults model.Faults
		if err != nil && !errors.As(err, &faults) {
			t.Fatal(err)
		}
		for _, fault := range faults {
			if filepath.Ext(fault.Pos.Filename) != ".edl" {
				t.Errorf("%v", fault)
			}
		}
	})
}
