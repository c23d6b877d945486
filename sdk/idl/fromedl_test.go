package idl

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/idl/edl"
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
