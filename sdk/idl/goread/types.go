package goread

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"github.com/secgear/secgear/sdk/idl/model"
)

// use is where a type is used: what a fault in it is reported for.
type use struct {
	expr  ast.Expr
	where string // "Greeter.Hello" or "field Name of Person"
}

func (r *reader) refuse(u use, format string, args ...any) *model.Type {
	r.fault(u.expr, "%s: %s", u.where, fmt.Sprintf(format, args...))
	return &model.Type{Kind: model.Refused, Pos: r.pos(u.expr)}
}

// typeOf translates t and reports what has no counterpart on the wire.
func (r *reader) typeOf(u use, t types.Type) *model.Type {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		return r.namedType(u, t)
	case *types.Basic:
		return r.basic(u, t)
	case *types.Pointer:
		return &model.Type{Kind: model.Pointer, Pos: r.pos(u.expr), Elem: r.typeOf(u, t.Elem())}
	case *types.Slice:
		return r.slice(u, t)
	case *types.Array:
		return r.array(u, t)
	case *types.Map:
		return &model.Type{Kind: model.Map, Pos: r.pos(u.expr), Key: r.typeOf(u, t.Key()), Elem: r.typeOf(u, t.Elem())}
	case *types.Struct:
		if t.NumFields() == 0 {
			return &model.Type{Kind: model.Struct, Pos: r.pos(u.expr)}
		}
		return r.refuse(u, "a struct needs a name; declare a type for it")
	case *types.Chan:
		return r.refuse(u, "%s can't cross the boundary; make several calls, or return what it would deliver as a slice", r.text(t))
	case *types.Signature:
		return r.refuse(u, "functions can't cross the boundary; declare a contract in the other direction and call that")
	case *types.Interface:
		return r.refuse(u, "%s can't cross the boundary, the other side would not know what is in it; use a type of fixed shape", r.text(t))
	case nil:
		return r.invalid(u)
	}
	return r.refuse(u, "%s can't cross the boundary; use a type of fixed shape", r.text(t))
}

// text returns t as it is written in the package.
func (r *reader) text(t types.Type) string { return types.TypeString(t, types.RelativeTo(r.pkg)) }

var basicKinds = map[types.BasicKind]model.Kind{
	types.Bool: model.Bool,
	types.Int:  model.Int, types.Int8: model.Int8, types.Int16: model.Int16, types.Int32: model.Int32, types.Int64: model.Int64,
	types.Uint: model.Uint, types.Uint8: model.Uint8, types.Uint16: model.Uint16, types.Uint32: model.Uint32, types.Uint64: model.Uint64,
	types.Float32: model.Float32, types.Float64: model.Float64,
	types.String: model.String,
}

func (r *reader) basic(u use, t *types.Basic) *model.Type {
	if kind, ok := basicKinds[t.Kind()]; ok {
		return &model.Type{Kind: kind, Pos: r.pos(u.expr)}
	}
	switch t.Kind() {
	case types.Invalid:
		return r.invalid(u)
	case types.Uintptr, types.UnsafePointer:
		return r.refuse(u, "%s is an address and means nothing on the other side; send what it points to", t)
	case types.Complex64, types.Complex128:
		return r.refuse(u, "%s can't cross the boundary; send its real and imaginary parts", t)
	}
	return r.refuse(u, "%s can't cross the boundary", t)
}

func (r *reader) slice(u use, t *types.Slice) *model.Type {
	elem := r.typeOf(u, t.Elem())
	if elem.Kind == model.Uint8 && elem.Name == "" {
		return &model.Type{Kind: model.Bytes, Pos: r.pos(u.expr)}
	}
	return &model.Type{Kind: model.Slice, Pos: r.pos(u.expr), Elem: elem}
}

func (r *reader) array(u use, t *types.Array) *model.Type {
	if t.Len() < 0 {
		return r.invalid(u)
	}
	return &model.Type{Kind: model.Array, Pos: r.pos(u.expr), Elem: r.typeOf(u, t.Elem()), Len: t.Len()}
}

// namedType translates a type that has a name.
func (r *reader) namedType(u use, t *types.Named) *model.Type {
	obj := t.Obj()
	if kind, ok := specialTypes[obj]; ok {
		return &model.Type{Kind: kind, Pos: r.pos(u.expr)}
	}
	switch {
	case obj == contextType:
		return r.refuse(u, "context.Context is the first argument and nothing else")
	case obj.Pkg() == nil && obj.Name() == "error":
		return r.refuse(u, "an error is the last result and nothing else; send its text, or declare a sentinel with //%s", errorDirective)
	case obj.Pkg() != r.pkg:
		return r.refuse(u, foreign, r.text(t))
	case t.TypeArgs().Len() > 0 || t.TypeParams().Len() > 0:
		return r.refuse(u, "%s is generic; declare a type of its own for it", r.text(t))
	}
	if known, ok := r.named[obj]; ok {
		return known
	}
	m := &model.Type{Name: obj.Name(), Pos: r.fset.Position(obj.Pos())}
	r.named[obj] = m
	r.define(m, t)
	return m
}

// foreign refuses types of other packages, whose shape can change without the
// contract changing.
const foreign = "%s is declared in another package; of those only time.Time, time.Duration and shm.Buffer cross, so declare a type here"

// define fills m with the underlying type of t, whose name it has.
func (r *reader) define(m *model.Type, t *types.Named) {
	u := use{expr: r.specs[t.Obj()].Type, where: "type " + m.Name}
	if kind, ok := underlyingSpecial(t); ok {
		m.Kind = kind
		return
	}
	if r.unknown(t.Underlying()) && r.selfContained(t.Obj()) {
		u.expr = at(t.Obj().Pos())
		m.Kind = r.refuse(u, "it contains itself; send a slice of elements that refer to each other by index").Kind
		return
	}
	if s, ok := t.Underlying().(*types.Struct); ok {
		m.Kind = model.Struct
		m.Fields = r.fields(m.Name, s)
		m.Checks = r.structChecks(m, r.docs[r.specs[t.Obj()]])
		return
	}
	under := r.typeOf(u, t.Underlying())
	m.Kind, m.Elem, m.Key, m.Len = under.Kind, under.Elem, under.Key, under.Len
}

// selfContained reports whether the type checker found that the named type's
// values would be of infinite size.
func (r *reader) selfContained(obj *types.TypeName) bool {
	return slices.ContainsFunc(r.errors, func(e types.Error) bool {
		return e.Pos == obj.Pos() && strings.HasPrefix(e.Msg, "invalid recursive type")
	})
}

func (r *reader) fields(name string, s *types.Struct) []model.Field {
	var out []model.Field
	for f := range s.Fields() {
		u := use{expr: r.exprs[f], where: fmt.Sprintf("field %s of %s", f.Name(), name)}
		pos := r.fset.Position(f.Pos())
		if !f.Exported() {
			r.faults.Addf(pos, "%s is not exported and would be lost; export it, or declare a struct without it for the contract", u.where)
			continue
		}
		out = append(out, model.Field{Pos: pos, Name: f.Name(), Type: r.typeOf(u, f.Type())})
	}
	return out
}

// invalid reports a type that the type checker could not make out, with what
// it had to say.
func (r *reader) invalid(u use) *model.Type {
	if length := r.unknownLength(u.expr); length != nil {
		return r.refuse(use{expr: length, where: u.where}, "the array length %s can't be made out; write the number", types.ExprString(length))
	}
	if sel := r.foreignSelector(u.expr); sel != "" {
		return r.refuse(u, foreign, sel)
	}
	for _, e := range r.errors {
		if u.expr.Pos() <= e.Pos && e.Pos < u.expr.End() {
			return r.refuse(use{expr: at(e.Pos), where: u.where}, "%s", e.Msg)
		}
	}
	return r.refuse(u, "%s is not a valid type", types.ExprString(u.expr))
}

// unknownLength returns an array length within expr that has no constant
// value, or nil.
func (r *reader) unknownLength(expr ast.Expr) ast.Expr {
	var found ast.Expr
	ast.Inspect(expr, func(n ast.Node) bool {
		if a, ok := n.(*ast.ArrayType); ok && a.Len != nil && r.info.Types[a.Len].Value == nil {
			found = a.Len
		}
		return found == nil
	})
	return found
}

// foreignSelector returns a name of another package within expr, or "".
func (r *reader) foreignSelector(expr ast.Expr) string {
	found := ""
	ast.Inspect(expr, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return found == ""
		}
		if id, ok := sel.X.(*ast.Ident); ok && r.unknown(r.typeOrInvalid(sel)) {
			if _, ok := r.info.Uses[id].(*types.PkgName); ok {
				found = types.ExprString(sel)
			}
		}
		return false
	})
	return found
}

func (r *reader) typeOrInvalid(expr ast.Expr) types.Type {
	if t := r.info.TypeOf(expr); t != nil {
		return t
	}
	return types.Typ[types.Invalid]
}

// at is an expression that is nothing but a position.
func at(pos token.Pos) ast.Expr { return &ast.BadExpr{From: pos, To: pos} }
