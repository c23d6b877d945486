package secgear_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

var update = flag.Bool("update", false, "rewrite the lists of linked packages instead of comparing them")

// neverLinked are the packages that have no business inside an enclave.
const neverLinked = testSupport + " sdk/host/... sdk/tee/all/... sdk/idl/... sdk/image/*/... cmd/... testing plugin"

// linkedFile holds, beside each enclave program, the packages it links: its
// trusted computing base. A change to it shows in review.
const linkedFile = "linked.txt"

// TestLinked compares what each enclave program links with the committed list.
func TestLinked(t *testing.T) {
	programs, err := enclavePrograms(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	if len(programs) == 0 {
		t.Fatalf("found no program that calls enclave.Main: there is none, or the test looks for the wrong thing")
	}
	for _, dir := range programs {
		t.Run(dir, func(t *testing.T) {
			got := linkedPackages(t, dir)
			for _, pkg := range got {
				if matchAny(neverLinked, localPath(pkg)) {
					t.Errorf("the enclave links %s, which does not belong inside one", pkg)
				}
			}
			file := filepath.Join(filepath.FromSlash(dir), linkedFile)
			if *update {
				writeLinked(t, file, got)
				return
			}
			compareLinked(t, file, got)
		})
	}
}

// TestNoStrayLinkedFile: a list beside something that is no enclave program
// would look like a promise that nobody keeps.
func TestNoStrayLinkedFile(t *testing.T) {
	programs, err := enclavePrograms(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && skipFolder(os.DirFS("."), name) {
			return fs.SkipDir
		}
		if d.Name() == linkedFile && !slices.Contains(programs, path.Dir(name)) {
			t.Errorf("%s: there is no enclave program beside it", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// enclavePrograms returns the folders of all programs in fsys that call
// enclave.Main.
func enclavePrograms(fsys fs.FS) ([]string, error) {
	var dirs []string
	err := walkGoFiles(fsys, func(name string) error {
		if isTest(name) || slices.Contains(dirs, path.Dir(name)) {
			return nil
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if f.Name.Name == "main" && callsEnclaveMain(f) {
			dirs = append(dirs, path.Dir(name))
		}
		return nil
	})
	return dirs, err
}

// callsEnclaveMain reports whether the file has a call of sdk/enclave's Main.
func callsEnclaveMain(f *ast.File) bool {
	local := ""
	for _, spec := range f.Imports {
		if spec.Path.Value == `"`+modulePath+`/sdk/enclave"` {
			local = "enclave"
			if spec.Name != nil {
				local = spec.Name.Name
			}
		}
	}
	found := false
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Main" {
			x, ok := sel.X.(*ast.Ident)
			found = found || ok && local != "" && x.Name == local
		}
		return !found
	})
	return found
}

// linkedPackages lists what the program in dir links, sorted, standard library
// included. The environment's own settings for builds are kept out.
func linkedPackages(t *testing.T, dir string) []string {
	t.Helper()
	env := []string{
		"GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "CGO_ENABLED=0",
		"GOFLAGS=-mod=readonly", "GOEXPERIMENT=", "GOFIPS140=off", "GOWORK=off",
	}
	out := goCommand(t, env, "list", "-deps", "./"+dir)
	list := strings.Fields(string(out))
	slices.Sort(list)
	return list
}

// linkedHeader is the first line of a list: the standard library's internals
// change with each Go release.
func linkedHeader() string { return "# " + goMinor(runtime.Version()) + " linux/amd64" }

// goMinor cuts "go1.26.8" to "go1.26".
func goMinor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return version
	}
	minor := strings.TrimRightFunc(parts[1], func(r rune) bool { return r < '0' || r > '9' })
	if i := strings.IndexFunc(minor, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		minor = minor[:i] // "26rc1"
	}
	return parts[0] + "." + minor
}

func writeLinked(t *testing.T, file string, list []string) {
	t.Helper()
	text := linkedHeader() + "\n" + strings.Join(list, "\n") + "\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("wrote %s: %d packages", file, len(list))
}

// compareLinked fails the test when the committed list differs. With another Go
// release than the list's, only packages from outside the standard library are
// compared.
func compareLinked(t *testing.T, file string, got []string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v\nrun `make linked` and commit the file", err)
	}
	header, rest, _ := bytes.Cut(data, []byte("\n"))
	want := strings.Fields(string(rest))
	if string(header) != linkedHeader() {
		t.Logf("%s is for %q, this is %q: the standard library's packages are not compared", file, header, linkedHeader())
		got, want = withoutStd(got), withoutStd(want)
	}
	if diff := listDiff(want, got); diff != "" {
		t.Errorf("%s: the enclave links other packages than committed; `make linked` accepts them:\n%s", file, diff)
	}
}

// withoutStd returns the packages whose path begins with a domain.
func withoutStd(list []string) []string {
	var rest []string
	for _, pkg := range list {
		if domain, _, _ := strings.Cut(pkg, "/"); strings.Contains(domain, ".") {
			rest = append(rest, pkg)
		}
	}
	return rest
}

// listDiff tells what got has more ("+") or less ("-") than want.
func listDiff(want, got []string) string {
	var diff strings.Builder
	for _, pkg := range got {
		if !slices.Contains(want, pkg) {
			fmt.Fprintf(&diff, "\t+ %s\n", pkg)
		}
	}
	for _, pkg := range want {
		if !slices.Contains(got, pkg) {
			fmt.Fprintf(&diff, "\t- %s\n", pkg)
		}
	}
	if diff.Len() == 0 && !slices.Equal(want, got) {
		return "\tthe list is not sorted\n"
	}
	return diff.String()
}

func TestEnclavePrograms(t *testing.T) {
	file := func(src string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(src)} }
	const imported = "import \"" + modulePath + "/sdk/enclave\"\n"
	got, err := enclavePrograms(fstest.MapFS{
		"yes/main.go":      file("package main\n" + imported + "func main() { enclave.Main(nil) }\n"),
		"renamed/main.go":  file("package main\nimport e \"" + modulePath + "/sdk/enclave\"\nfunc main() { e.Main(nil) }\n"),
		"library/x.go":     file("package x\n" + imported + "func f() { enclave.Main(nil) }\n"),
		"other/main.go":    file("package main\nimport \"example.com/enclave\"\nfunc main() { enclave.Main(nil) }\n"),
		"test/x_test.go":   file("package main\n" + imported + "func f() { enclave.Main(nil) }\n"),
		"uses/main.go":     file("package main\n" + imported + "var _ enclave.Enclave\n"),
		"nested/go.mod":    file("module nested\n"),
		"nested/x/main.go": file("package main\n" + imported + "func main() { enclave.Main(nil) }\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"renamed", "yes"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestListDiff(t *testing.T) {
	tests := []struct {
		name      string
		want, got []string
		diff      string
	}{
		{"same", []string{"a", "b"}, []string{"a", "b"}, ""},
		{"more", []string{"a"}, []string{"a", "b"}, "\t+ b\n"},
		{"less", []string{"a", "b"}, []string{"b"}, "\t- a\n"},
		{"unsorted", []string{"b", "a"}, []string{"a", "b"}, "\tthe list is not sorted\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := listDiff(tt.want, tt.got); diff != tt.diff {
				t.Errorf("got %q, want %q", diff, tt.diff)
			}
		})
	}
}

func TestGoMinor(t *testing.T) {
	for version, want := range map[string]string{
		"go1.26":               "go1.26",
		"go1.26.8":             "go1.26",
		"go1.27rc1":            "go1.27",
		"devel go1.28-abcdef":  "devel go1.28",
		"go1.26.8 X:nocoverag": "go1.26",
	} {
		if got := goMinor(version); got != want {
			t.Errorf("goMinor(%q) = %q, want %q", version, got, want)
		}
	}
}
