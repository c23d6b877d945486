package goread

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// importer resolves imports to stand-ins. Only packages that array lengths may
// take constants from are read.
type importer struct {
	dir       string
	loaded    map[string]*types.Package
	constants map[string]bool // paths used in the package being checked
}

// check type-checks files without function bodies. Errors go to report.
func (imp *importer) check(fset *token.FileSet, path string, files []*ast.File, info *types.Info, report func(error)) *types.Package {
	outer := imp.constants
	defer func() { imp.constants = outer }()
	imp.constants = constantImports(files)
	conf := types.Config{Importer: imp, Error: report, IgnoreFuncBodies: true, FakeImportC: true}
	pkg, _ := conf.Check(path, fset, files, info) // report has the errors
	return pkg
}

// Import implements [types.Importer].
func (imp *importer) Import(path string) (*types.Package, error) {
	if p, ok := standIns[path]; ok {
		return p, nil
	}
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	if p, ok := imp.loaded[path]; ok {
		return p, nil
	}
	p := empty(path)
	imp.loaded[path] = p // ends import cycles, too
	if imp.constants[path] {
		if read := imp.read(path); read != nil {
			p = read
			imp.loaded[path] = p
		}
	}
	return p, nil
}

// read reads the package at path from source, or returns nil. The caller then
// goes without its constants, and reports the array that needs them.
func (imp *importer) read(path string) *types.Package {
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range imp.list(path) {
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil
		}
		files = append(files, f)
	}
	if files == nil {
		return nil
	}
	return imp.check(fset, path, files, nil, func(error) {})
}

// list returns the files of the package at path, which the go command knows
// how to find, without downloading anything.
func (imp *importer) list(path string) []string {
	list := exec.Command("go", "list", "-e", "-find", "-json=Dir,GoFiles", "--", path)
	list.Dir = imp.dir
	list.Env = append(os.Environ(), "GOPROXY=off")
	out, err := list.Output()
	if err != nil {
		return nil
	}
	var p struct {
		Dir     string
		GoFiles []string
	}
	if json.Unmarshal(out, &p) != nil {
		return nil
	}
	for i, name := range p.GoFiles {
		p.GoFiles[i] = filepath.Join(p.Dir, name)
	}
	return p.GoFiles
}

// majorVersion matches the last element of an import path that is no name.
var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// empty returns a package that declares nothing, for imports of no interest.
func empty(importPath string) *types.Package {
	name := path.Base(importPath)
	if majorVersion.MatchString(name) {
		name = path.Base(path.Dir(importPath))
	}
	name, _, _ = strings.Cut(name, ".")
	p := types.NewPackage(importPath, strings.TrimPrefix(name, "go-"))
	p.MarkComplete()
	return p
}

// constantImports returns the paths of packages that files use in array
// lengths and in declarations of constants.
func constantImports(files []*ast.File) map[string]bool {
	paths := map[string]bool{}
	for _, f := range files {
		byName := map[string]string{}
		for _, spec := range f.Imports {
			p := strings.Trim(spec.Path.Value, "\"`")
			byName[empty(p).Name()] = p
			if spec.Name != nil {
				byName[spec.Name.Name] = p
			}
		}
		note := func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if id, ok := sel.X.(*ast.Ident); ok && byName[id.Name] != "" {
					paths[byName[id.Name]] = true
				}
			}
			return true
		}
		for _, d := range f.Decls {
			ast.Inspect(d, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					return false
				case *ast.ArrayType:
					if n.Len != nil {
						ast.Inspect(n.Len, note)
					}
				case *ast.GenDecl:
					if n.Tok == token.CONST {
						ast.Inspect(n, note)
					}
				}
				return true
			})
		}
	}
	return paths
}
