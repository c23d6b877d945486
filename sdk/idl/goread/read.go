package goread

import (
	"errors"
	"go/ast"
	"go/token"
	"go/types"

	"github.com/secgear/secgear/sdk/idl/model"
)

// Read reads the contracts of the Go package in dir, passing over the files
// named in generated. Whatever the source has wrong comes back as one
// [model.Faults]. The package must still be given to [model.Check], even if
// there are faults: the two see different things.
func Read(dir string, generated ...string) (*model.Package, model.Faults, error) {
	src, faults, err := parseDir(dir, nil, generated)
	if err != nil || src == nil {
		return nil, faults, err
	}
	path, err := importPath(dir)
	if err != nil {
		return nil, nil, err
	}
	return readSource(src, dir, path, faults)
}

// ReadWith is [Read] for a package to which files of the names and contents in
// overlay are about to be added. The directory need not exist yet, nor be in a
// module: then the package's path is its name.
func ReadWith(dir string, overlay map[string][]byte, generated ...string) (*model.Package, model.Faults, error) {
	src, faults, err := parseDir(dir, overlay, generated)
	if err != nil || src == nil {
		return nil, faults, err
	}
	path, err := importPath(dir)
	if errors.Is(err, errNoModule) {
		path, err = src.name, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return readSource(src, dir, path, faults)
}

// Declared returns the name of the package in dir and what it declares on
// package level, in files other than those named in generated. Without such
// files, or without the directory, both are empty.
func Declared(dir string, generated ...string) (name string, declared map[string]token.Position, faults model.Faults, err error) {
	src, faults, err := parseDir(dir, map[string][]byte{}, generated)
	if err != nil || src == nil {
		return "", nil, faults, err
	}
	return src.name, src.taken, nil, nil
}

func readSource(src *source, dir, path string, faults model.Faults) (*model.Package, model.Faults, error) {
	r := &reader{
		fset:   src.fset,
		source: src,
		faults: faults,
		named:  map[*types.TypeName]*model.Type{},
		exprs:  map[*types.Var]ast.Expr{},
		specs:  map[types.Object]*ast.TypeSpec{},
		docs:   map[*ast.TypeSpec]*ast.CommentGroup{},

		refused: map[string]bool{},
	}
	r.checkTypes(dir, path)
	r.directives = collectDirectives(src, &r.faults)
	p := &model.Package{Name: src.name, Path: path, Taken: src.taken}
	for _, f := range src.files {
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				r.declaration(p, g)
			}
		}
	}
	r.finish(p)
	return p, r.faults, nil
}

// reader fills a model from a parsed package.
type reader struct {
	fset       *token.FileSet
	source     *source
	faults     model.Faults
	directives directives

	pkg    *types.Package
	info   *types.Info
	errors []types.Error // what the type checker said, mostly of no interest

	named map[*types.TypeName]*model.Type
	exprs map[*types.Var]ast.Expr        // the type expressions of fields
	specs map[types.Object]*ast.TypeSpec // declarations of types
	docs  map[*ast.TypeSpec]*ast.CommentGroup

	allowed []allowance
	refused map[string]bool // interfaces of which nothing more is to be said
}

func (r *reader) pos(n ast.Node) token.Position { return r.fset.Position(n.Pos()) }

func (r *reader) fault(n ast.Node, format string, args ...any) {
	r.faults.Addf(r.pos(n), format, args...)
}

// declaration reads the contracts or sentinels of one declaration.
func (r *reader) declaration(p *model.Package, g *ast.GenDecl) {
	for _, spec := range g.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			doc := docOf(g, spec)
			if _, ok := spec.Type.(*ast.StructType); ok {
				r.directives.take(doc, checkDirective) // parsed if a contract uses it
			}
			r.contract(p, spec, doc)
		case *ast.ValueSpec:
			if g.Tok == token.VAR {
				whole, own := r.directives.take(g.Doc, errorDirective), r.directives.take(spec.Doc, errorDirective)
				if whole || own {
					r.sentinels(p, spec)
				}
			}
		}
	}
}

// docOf returns the doc comment of a type.
func docOf(g *ast.GenDecl, spec *ast.TypeSpec) *ast.CommentGroup {
	if spec.Doc == nil && !g.Lparen.IsValid() {
		return g.Doc
	}
	return spec.Doc
}

// finish reports what is only known at the end.
func (r *reader) finish(p *model.Package) {
	r.resolve(p)
	r.directives.leftover(&r.faults)
	if len(p.Contracts) == 0 && len(r.faults) == 0 {
		r.faults.Addf(r.pos(r.source.files[0].Name),
			"package %s has no contract: write //%s or //%s directly above an interface", p.Name, ecallDirective, ocallDirective)
	}
	if p.Name == "main" {
		r.faults.Addf(r.pos(r.source.files[0].Name),
			"package main can't be imported by the other side; move the contract to a package of its own")
	}
}
