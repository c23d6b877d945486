package goread

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/secgear/secgear/sdk/idl/model"
)

// source is the parsed source of a package.
type source struct {
	fset     *token.FileSet
	name     string
	files    []*ast.File // what this machine builds, in the order of their names
	excluded []*ast.File // what it doesn't: tests and files for other machines
	taken    map[string]token.Position
}

// parseDir parses the Go files in dir. The source is nil if there are faults
// that leave nothing to work with.
// Files in overlay count as if they were there, and an overlay, even an empty
// one, makes up for what is not.
func parseDir(dir string, overlay map[string][]byte, generated []string) (*source, model.Faults, error) {
	names, err := goFiles(dir, generated)
	if err != nil && (overlay == nil || !errors.Is(err, fs.ErrNotExist)) {
		return nil, nil, err
	}
	s := &source{fset: token.NewFileSet(), taken: map[string]token.Position{}}
	var faults model.Faults
	for _, name := range names {
		if _, replaced := overlay[name]; replaced {
			continue
		}
		if err := s.parse(dir, name, &faults); err != nil {
			return nil, nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(overlay)) {
		if err := s.add(filepath.Join(dir, name), overlay[name], true, &faults); err != nil {
			return nil, nil, err
		}
	}
	if faults != nil {
		return nil, faults, nil
	}
	if len(s.files) == 0 && overlay == nil {
		return nil, nil, fmt.Errorf("reading contracts: no Go files in %s", dir)
	}
	for _, f := range append(slices.Clone(s.files), s.excluded...) {
		s.declares(f)
	}
	return s, nil, nil
}

// goFiles lists the Go files in dir except those generated.
func goFiles(dir string, generated []string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading contracts: %w", err)
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") {
			continue
		}
		if !slices.Contains(generated, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// parse parses one file and puts it where it belongs. Syntax is only insisted
// on where contracts can be.
func (s *source) parse(dir, name string, faults *model.Faults) error {
	path := filepath.Join(dir, name)
	match, err := build.Default.MatchFile(dir, name)
	if err != nil {
		match = true // it will not parse either, and the parser says it better
	}
	return s.add(path, nil, match && !strings.HasSuffix(name, "_test.go"), faults)
}

// add parses a file, whose text is read if it is nil.
func (s *source) add(path string, text []byte, counts bool, faults *model.Faults) error {
	var src any
	if text != nil {
		src = text
	}
	f, err := parser.ParseFile(s.fset, path, src, parser.ParseComments|parser.SkipObjectResolution)
	if !counts {
		if f != nil {
			s.excluded = append(s.excluded, f)
		}
		return nil
	}
	var list scanner.ErrorList
	switch {
	case errors.As(err, &list):
		for _, e := range list {
			faults.Addf(e.Pos, "%s", e.Msg)
		}
		return nil
	case err != nil:
		return fmt.Errorf("reading contracts: %w", err)
	}
	if s.name == "" {
		s.name = f.Name.Name
	}
	if f.Name.Name != s.name {
		faults.Addf(s.fset.Position(f.Name.Pos()), "package %s in a directory of package %s", f.Name.Name, s.name)
		return nil
	}
	s.files = append(s.files, f)
	return nil
}

// declares notes the package-level identifiers that f declares, if it is of
// the package.
func (s *source) declares(f *ast.File) {
	if f.Name.Name != s.name {
		return
	}
	take := func(id *ast.Ident) {
		if _, ok := s.taken[id.Name]; !ok && id.Name != "_" && id.Name != "init" {
			s.taken[id.Name] = s.fset.Position(id.Pos())
		}
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				take(d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					take(spec.Name)
				case *ast.ValueSpec:
					for _, id := range spec.Names {
						take(id)
					}
				}
			}
		}
	}
}

var errNoModule = errors.New("is in no module (no go.mod there or above)")

// importPath returns the import path of the package in dir, from the go.mod
// above it.
func importPath(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("reading contracts: %w", err)
	}
	for root := abs; ; root = filepath.Dir(root) {
		text, err := os.ReadFile(filepath.Join(root, "go.mod"))
		if err == nil {
			return inModule(root, abs, string(text))
		}
		if !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("reading contracts: %w", err)
		}
		if filepath.Dir(root) == root {
			return "", fmt.Errorf("reading contracts: %s %w: run go mod init", abs, errNoModule)
		}
	}
}

// inModule returns the import path of dir in the module at root.
func inModule(root, dir, gomod string) (string, error) {
	rel, err := filepath.Rel(root, dir)
	if err != nil {
		return "", fmt.Errorf("reading contracts: %w", err)
	}
	for line := range strings.Lines(gomod) {
		line, _, _ = strings.Cut(line, "//")
		if f := strings.Fields(line); len(f) == 2 && f[0] == "module" {
			path := strings.Trim(f[1], "\"`")
			if rel != "." {
				path += "/" + filepath.ToSlash(rel)
			}
			return path, nil
		}
	}
	return "", fmt.Errorf("reading contracts: %s names no module", filepath.Join(root, "go.mod"))
}
