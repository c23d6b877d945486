package secgear_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/secgear/secgear/sdk/idl"
)

// TestGenerated: committed stubs are what `secgear generate` writes today.
func TestGenerated(t *testing.T) {
	dirs, err := contractPackages(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	if len(dirs) == 0 {
		t.Fatal("found no contract: the test looks for the wrong thing")
	}
	for _, dir := range dirs {
		t.Run(dir, func(t *testing.T) {
			if err := idl.Check(filepath.FromSlash(dir)); err != nil {
				t.Errorf("%v\nrun `make generate` and commit what it writes", err)
			}
		})
	}
}

// contractPackages returns the folders in fsys, those of nested modules
// included, that hold a contract or what was generated from one.
func contractPackages(fsys fs.FS) ([]string, error) {
	var dirs []string
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != "." && hiddenFromGo(d.Name()), d.IsDir() && d.Name() == "testdata":
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir(), !strings.HasSuffix(name, ".go"):
			return nil
		}
		found, err := holdsContract(fsys, name)
		if found || d.Name() == idl.CodeFile || d.Name() == idl.TestFile {
			dirs = append(dirs, path.Dir(name))
		}
		return err
	})
	slices.Sort(dirs)
	return slices.Compact(dirs), err
}

// holdsContract reports whether the file has a directive that makes an
// interface a contract.
func holdsContract(fsys fs.FS, name string) (bool, error) {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return false, err
	}
	f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return false, err
	}
	isDirective := func(c *ast.Comment) bool { return c.Text == "//secgear:ecall" || c.Text == "//secgear:ocall" }
	return slices.ContainsFunc(f.Comments, func(g *ast.CommentGroup) bool {
		return slices.ContainsFunc(g.List, isDirective)
	}), nil
}

func TestContractPackages(t *testing.T) {
	file := func(src string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(src)} }
	const contract = "package p\n\n// I is a contract.\n//\n//secgear:ecall\ntype I interface{}\n"
	got, err := contractPackages(fstest.MapFS{
		"demo/demo.go":              file(contract),
		"demo/secgear_gen.go":       file("package p\n"),
		"orphan/secgear_gen.go":     file("package p\n"),
		"orphan2/a_test.go":         file("package p\n"),
		"orphan2/" + idl.TestFile:   file("package p\n"),
		"nested/go.mod":             file("module nested\n"),
		"nested/echo/echo.go":       file(strings.Replace(contract, "ecall", "ocall", 1)),
		"text/text.go":              file("package p\n\nconst s = `\n//secgear:ecall\n`\n"),
		"cmd/_template/demo.go":     file(contract),
		"gen/testdata/demo/demo.go": file(contract),
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"demo", "nested/echo", "orphan", "orphan2"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}
