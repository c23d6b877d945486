package goread

import (
	"go/ast"
	"go/types"

	"github.com/secgear/secgear/sdk/idl/model"
)

// underlyingSpecial returns the kind of a type declared as one of the special
// types, such as type Stamp time.Time.
func underlyingSpecial(t *types.Named) (model.Kind, bool) {
	for obj, kind := range specialTypes {
		if s, ok := t.Underlying().(*types.Struct); ok && s == obj.Type().Underlying() {
			return kind, true
		}
	}
	return model.Refused, false
}

// checkTypes type-checks the package, keeping whatever can be made out.
func (r *reader) checkTypes(dir, path string) {
	r.info = &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{},
		Defs:  map[*ast.Ident]types.Object{},
		Uses:  map[*ast.Ident]types.Object{},
	}
	imp := &importer{dir: dir, loaded: map[string]*types.Package{}}
	r.pkg = imp.check(r.fset, path, r.source.files, r.info, func(err error) {
		if e, ok := err.(types.Error); ok {
			r.errors = append(r.errors, e)
		}
	})
	for _, f := range r.source.files {
		ast.Inspect(f, r.index)
	}
}

// index notes where types and the types of fields are written.
func (r *reader) index(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		for _, s := range n.Specs {
			if spec, ok := s.(*ast.TypeSpec); ok {
				r.docs[spec] = docOf(n, spec)
			}
		}
	case *ast.TypeSpec:
		r.specs[r.info.Defs[n.Name]] = n
	case *ast.StructType:
		for _, f := range n.Fields.List {
			for _, id := range append(f.Names, embeddedName(f)...) {
				if v, ok := r.info.Defs[id].(*types.Var); ok {
					r.exprs[v] = f.Type
				}
			}
		}
	}
	return true
}

// embeddedName returns the identifier that an embedded field is defined by.
func embeddedName(f *ast.Field) []*ast.Ident {
	if f.Names != nil {
		return nil
	}
	expr := f.Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.SelectorExpr:
			return []*ast.Ident{e.Sel}
		case *ast.Ident:
			return []*ast.Ident{e}
		default:
			return nil
		}
	}
}
