package goread

import (
	"go/ast"
	"go/types"

	"github.com/secgear/secgear/sdk/idl/model"
)

// contract adds the contract that spec declares, if doc marks it as one.
func (r *reader) contract(p *model.Package, spec *ast.TypeSpec, doc *ast.CommentGroup) {
	ecall, ocall := r.directives.take(doc, ecallDirective), r.directives.take(doc, ocallDirective)
	if !ecall && !ocall {
		return
	}
	name := spec.Name.Name
	if ecall && ocall {
		r.fault(spec.Name, "%s is marked both //%s and //%s; declare an interface for each direction", name, ecallDirective, ocallDirective)
		r.excuse(spec)
	}
	if !spec.Name.IsExported() {
		r.fault(spec.Name, "contract %s must be exported, both sides use it", name)
	}
	if spec.TypeParams != nil {
		r.fault(spec.Name, "contract %s can't have type parameters; declare an interface for each type", name)
		r.excuse(spec)
		return
	}
	iface, ok := spec.Type.(*ast.InterfaceType)
	if !ok || spec.Assign.IsValid() {
		r.fault(spec.Name, "contract %s must be declared as an interface, with its methods written out", name)
		r.excuse(spec)
		return
	}
	c := &model.Contract{Pos: r.pos(spec.Name), Name: name, Doc: doc.Text()}
	if ocall {
		c.Direction = model.OCALL
	}
	c.Methods = r.methods(c, iface)
	if c.Methods == nil && iface.Methods.NumFields() > 0 {
		return // what it embeds was refused; it isn't empty
	}
	p.Contracts = append(p.Contracts, c)
}

func (r *reader) methods(c *model.Contract, iface *ast.InterfaceType) []*model.Method {
	contract := c.Name
	var out []*model.Method
	for _, f := range iface.Methods.List {
		fn, ok := f.Type.(*ast.FuncType)
		if !ok || len(f.Names) != 1 {
			r.fault(f.Type, "%s embeds %s; write the methods out, so that their order and numbers are plain",
				contract, types.ExprString(f.Type))
			if id, ok := f.Type.(*ast.Ident); ok && r.specs[r.info.Uses[id]] != nil {
				r.excuse(r.specs[r.info.Uses[id]])
			}
			continue
		}
		m := r.method(contract, f, fn)
		r.visibility(c, m, f.Doc)
		out = append(out, m)
	}
	return out
}

func (r *reader) method(contract string, f *ast.Field, fn *ast.FuncType) *model.Method {
	id := f.Names[0]
	m := &model.Method{
		Pos:      r.pos(id),
		Name:     id.Name,
		Doc:      f.Doc.Text(),
		Switched: r.directives.take(f.Doc, switchedDirective),
	}
	where := contract + "." + m.Name
	if !id.IsExported() {
		r.fault(id, "%s must be exported; only its own package could implement it", where)
	}
	params, results := flatten(fn.Params), flatten(fn.Results)
	if len(params) > 0 && r.isContext(params[0].expr) {
		params = params[1:]
	} else {
		r.fault(id, "%s must take ctx context.Context first; it carries deadline and cancellation across", where)
	}
	if n := len(results); n > 0 && r.isError(results[n-1].expr) {
		results = results[:n-1]
	} else {
		r.fault(id, "%s must return an error last; any call can fail", where)
	}
	m.Args = r.values(where, params)
	m.Results = r.values(where, results)
	m.Checks = r.methodChecks(m, f.Doc)
	return m
}

// param is a parameter or result by itself: a, b int are two of them.
type param struct {
	name *ast.Ident // may be nil
	expr ast.Expr
}

func flatten(list *ast.FieldList) []param {
	if list == nil {
		return nil
	}
	var out []param
	for _, f := range list.List {
		if f.Names == nil {
			out = append(out, param{nil, f.Type})
		}
		for _, id := range f.Names {
			out = append(out, param{id, f.Type})
		}
	}
	return out
}

func (r *reader) values(where string, params []param) []model.Value {
	var out []model.Value
	seen := map[ast.Expr]*model.Type{} // a, b T is one type, reported once
	for _, p := range params {
		t, ok := seen[p.expr]
		if !ok {
			t = r.valueType(where, p.expr)
			seen[p.expr] = t
		}
		v := model.Value{Pos: r.pos(p.expr), Type: t}
		if p.name != nil {
			v.Pos, v.Name = r.pos(p.name), p.name.Name
		}
		out = append(out, v)
	}
	return out
}

func (r *reader) valueType(where string, expr ast.Expr) *model.Type {
	if dots, ok := expr.(*ast.Ellipsis); ok {
		r.fault(expr, "%s: no variable number of arguments; take a slice []%s", where, types.ExprString(dots.Elt))
		return &model.Type{Kind: model.Refused, Pos: r.pos(expr)}
	}
	return r.typeOf(use{expr: expr, where: where}, r.info.TypeOf(expr))
}

func (r *reader) isContext(expr ast.Expr) bool {
	n, ok := types.Unalias(r.info.TypeOf(expr)).(*types.Named)
	return ok && n.Obj() == contextType
}

func (r *reader) isError(expr ast.Expr) bool {
	return types.Identical(r.info.TypeOf(expr), types.Universe.Lookup("error").Type())
}

// sentinels adds the error variables that spec declares.
func (r *reader) sentinels(p *model.Package, spec *ast.ValueSpec) {
	for i, id := range spec.Names {
		switch obj := r.info.Defs[id]; {
		case id.Name == "_":
			r.fault(id, "a sentinel needs a name")
		case !id.IsExported():
			r.fault(id, "sentinel %s must be exported, both sides compare errors with it", id.Name)
		case len(spec.Values) == 0:
			r.fault(id, "sentinel %s has no value; write %s = errors.New(\"…\")", id.Name, id.Name)
		case obj == nil || r.unknown(obj.Type()):
			r.fault(id, "can't tell that %s is an error; write var %s error = %s", id.Name, id.Name, value(spec, i))
		case !types.AssignableTo(obj.Type(), types.Universe.Lookup("error").Type()):
			r.fault(id, "sentinel %s is %s and not an error", id.Name, types.TypeString(obj.Type(), types.RelativeTo(r.pkg)))
		default:
			p.Sentinels = append(p.Sentinels, model.Sentinel{Pos: r.pos(id), Name: id.Name})
		}
	}
}

// unknown reports whether the type checker could not make out t.
func (r *reader) unknown(t types.Type) bool {
	b, ok := t.(*types.Basic)
	return ok && b.Kind() == types.Invalid
}

// value returns the expression for the spec's variable number i.
func value(spec *ast.ValueSpec, i int) string {
	if len(spec.Values) == len(spec.Names) {
		return types.ExprString(spec.Values[i])
	}
	return "…"
}
