package secgear_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing/fstest"
)

// modulePath is the path of this module, as in go.mod.
const modulePath = "github.com/secgear/secgear"

// rule is one line of the import policy. Either from and never (or together)
// are set, or siblings.
type rule struct {
	name        string // what is demanded; part of the message
	from        string // whom the rule binds
	except      string // whom it does not bind all the same
	never       string // what they must not import
	allow       string // what of it they may import all the same
	together    string // packages of which one package imports at most one
	siblings    string // folder whose subfolders must not import each other
	testsExempt bool   // files ending in _test.go are not bound
}

// importUse is one import in one file.
type importUse struct {
	file string // relative to the module's root, with slashes
	line int
	path string // of a package in this module: its folder, else the import path
}

// folder is where the importing package is.
func (u importUse) folder() string { return path.Dir(u.file) }

// violation is one import that breaks a rule.
type violation struct {
	importUse
	rule string
}

func (v violation) String() string {
	return fmt.Sprintf("%s:%d: imports %s, but %s", v.file, v.line, v.path, v.rule)
}

// readImports lists the imports of every Go file of the module in fsys that
// the go command would consider under some build tags, tests included. Modules
// nested in it are left out.
func readImports(fsys fs.FS) ([]importUse, error) {
	var uses []importUse
	err := walkGoFiles(fsys, func(name string) error {
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
			}
			uses = append(uses, importUse{name, fset.Position(spec.Pos()).Line, localPath(imported)})
		}
		return nil
	})
	return uses, err
}

// walkGoFiles calls visit for each Go file of the module in fsys.
func walkGoFiles(fsys fs.FS, visit func(name string) error) error {
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && skipFolder(fsys, name):
			return fs.SkipDir
		case d.IsDir(), !strings.HasSuffix(name, ".go"), hiddenFromGo(d.Name()):
			return nil
		}
		return visit(name)
	})
}

// skipFolder reports whether a folder is no part of the module.
func skipFolder(fsys fs.FS, name string) bool {
	base := path.Base(name)
	if hiddenFromGo(base) || base == "testdata" {
		return true
	}
	_, err := fs.Stat(fsys, path.Join(name, "go.mod"))
	return err == nil
}

// hiddenFromGo reports whether the go command ignores a file or folder for its
// name.
func hiddenFromGo(base string) bool {
	return strings.HasPrefix(base, "_") || strings.HasPrefix(base, ".")
}

// localPath turns import paths of this module into folders.
func localPath(imported string) string {
	if imported == modulePath {
		return "."
	}
	return strings.TrimPrefix(imported, modulePath+"/")
}

// check returns every import in uses that breaks a rule, in the order of the
// files.
func check(uses []importUse, rules []rule) []violation {
	var found []violation
	seen := make(map[string]map[string]bool) // folder → imports outside tests
	for _, u := range uses {
		for _, r := range rules {
			if r.breaks(u) || r.joins(u, seen[u.folder()]) {
				found = append(found, violation{u, r.name})
			}
		}
		if !isTest(u.file) {
			if seen[u.folder()] == nil {
				seen[u.folder()] = make(map[string]bool)
			}
			seen[u.folder()][u.path] = true
		}
	}
	return found
}

// breaks reports whether u alone breaks the rule.
func (r rule) breaks(u importUse) bool {
	if r.siblings != "" {
		return r.crosses(u)
	}
	return r.binds(u) && matchAny(r.never, u.path) && !matchAny(r.allow, u.path)
}

// joins reports whether u brings together with the package's earlier imports
// what the rule keeps apart.
func (r rule) joins(u importUse, earlier map[string]bool) bool {
	if r.together == "" || !r.binds(u) || !matchAny(r.together, u.path) {
		return false
	}
	for other := range earlier {
		if other != u.path && matchAny(r.together, other) {
			return true
		}
	}
	return false
}

// binds reports whether the rule speaks about the file that u is in.
func (r rule) binds(u importUse) bool {
	if r.testsExempt && isTest(u.file) {
		return false
	}
	return matchFile(r.from, u.file) && !matchFile(r.except, u.file)
}

// crosses reports whether u goes from one subfolder of r.siblings to another.
func (r rule) crosses(u importUse) bool {
	from, ok := childOf(r.siblings, u.folder())
	if !ok || matchFile(r.except, u.file) {
		return false
	}
	to, ok := childOf(r.siblings, u.path)
	return ok && from != to && !matchAny(r.allow, u.path)
}

// childOf returns the name of the subfolder of parent that folder is, or is in.
func childOf(parent, folder string) (string, bool) {
	rest, ok := strings.CutPrefix(folder, parent+"/")
	name, _, _ := strings.Cut(rest, "/")
	return name, ok
}

// matchFile reports whether a pattern names the file or its folder.
func matchFile(list, file string) bool {
	return slices.ContainsFunc(patterns(list), func(p string) bool {
		switch {
		case !strings.HasSuffix(p, ".go"):
			return match(p, path.Dir(file))
		case strings.Contains(p, "/"):
			return p == file
		default:
			ok, err := path.Match(p, path.Base(file))
			return ok && err == nil
		}
	})
}

// matchAny reports whether a pattern names the package.
func matchAny(list, pkg string) bool {
	return slices.ContainsFunc(patterns(list), func(p string) bool { return match(p, pkg) })
}

// match reports whether the pattern names the package. "x/..." is x and all
// below it, "..." everything, "*" one element of a path.
func match(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
	base, below := strings.CutSuffix(pattern, "/...")
	want, got := strings.Split(base, "/"), strings.Split(pkg, "/")
	if len(got) < len(want) || len(got) > len(want) && !below {
		return false
	}
	for i, element := range want {
		if element != "*" && element != got[i] {
			return false
		}
	}
	return true
}

// patterns splits a list of patterns.
func patterns(list string) []string { return strings.Fields(list) }

// isTest reports whether a file belongs to a test only.
func isTest(file string) bool { return strings.HasSuffix(file, "_test.go") }

// sampleTree is a module of one file with the given imports.
func sampleTree(file string, imports []string) fs.FS {
	var src strings.Builder
	src.WriteString("package sample\n\nimport (\n\n")
	for _, p := range imports {
		fmt.Fprintf(&src, "\t_ %q\n", p)
	}
	src.WriteString(")\n")
	return fstest.MapFS{file: {Data: []byte(src.String())}}
}
