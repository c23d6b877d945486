package goread

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"

	"github.com/secgear/secgear/sdk/idl/model"
)

// operand is a value that a check can name.
type operand struct {
	name   string
	t      *model.Type
	result bool
}

// methodChecks returns the checks in the doc comment of m.
func (r *reader) methodChecks(m *model.Method, doc *ast.CommentGroup) []model.Demand {
	var values []operand
	for _, v := range m.Args {
		values = append(values, operand{v.Name, v.Type, false})
	}
	for _, v := range m.Results {
		values = append(values, operand{v.Name, v.Type, true})
	}
	return r.checks(doc, values)
}

// structChecks returns the checks in the doc comment of struct t.
func (r *reader) structChecks(t *model.Type, doc *ast.CommentGroup) []model.Demand {
	var values []operand
	for _, f := range t.Fields {
		values = append(values, operand{f.Name, f.Type, false})
	}
	return r.checks(doc, values)
}

func (r *reader) checks(doc *ast.CommentGroup, values []operand) []model.Demand {
	if doc == nil {
		return nil
	}
	var out []model.Demand
	for _, c := range doc.List {
		d, ok := r.directives[c]
		if !ok || d.name != checkDirective {
			continue
		}
		d.taken = true
		r.directives[c] = d
		check, err := parseCheck(d.args, values)
		if err != nil {
			r.faults.Addf(d.pos, "//%s %s: %v", checkDirective, d.args, err)
			continue
		}
		check.Pos = d.pos
		out = append(out, check)
	}
	return out
}

// parseCheck parses the text of a check: len(x) == n, len(x)*4 <= m*n,
// nonul(x).
func parseCheck(text string, values []operand) (model.Demand, error) {
	expr, err := parser.ParseExpr(text)
	if err != nil {
		return model.Demand{}, fmt.Errorf("it is no expression: %w", err)
	}
	p := checkParser{values: values}
	switch e := expr.(type) {
	case *ast.CallExpr:
		if len(e.Args) == 2 {
			return p.within(e)
		}
		return p.text(e)
	case *ast.BinaryExpr:
		return p.length(e)
	}
	return model.Demand{}, errForm
}

var errForm = fmt.Errorf("there are len(x) == n, len(x) <= n, nonul(x) and within(x, y), where n is a product of numbers, integers and lengths")

type checkParser struct{ values []operand }

// find returns the number of the value that expr names.
func (p checkParser) find(expr ast.Expr) (int, error) {
	id, ok := expr.(*ast.Ident)
	if !ok || id.Name == "_" {
		return 0, errForm
	}
	i := slices.IndexFunc(p.values, func(o operand) bool { return o.name == id.Name })
	if i < 0 {
		return 0, fmt.Errorf("nothing is called %s", id.Name)
	}
	return i, nil
}

// called returns the argument of a call of name.
func called(expr ast.Expr, name string) ast.Expr {
	call, ok := expr.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 {
		return nil
	}
	if id, ok := call.Fun.(*ast.Ident); !ok || id.Name != name {
		return nil
	}
	return call.Args[0]
}

func (p checkParser) text(e *ast.CallExpr) (model.Demand, error) {
	arg := called(e, "nonul")
	if arg == nil {
		return model.Demand{}, errForm
	}
	i, err := p.find(arg)
	if err != nil {
		return model.Demand{}, err
	}
	if t := p.values[i].t; !isText(t) {
		return model.Demand{}, fmt.Errorf("%s is no text", p.values[i].name)
	}
	return model.Demand{Rule: model.NoNUL, Value: i}, nil
}

// within parses within(result, argument).
func (p checkParser) within(e *ast.CallExpr) (model.Demand, error) {
	if id, ok := e.Fun.(*ast.Ident); !ok || id.Name != "within" {
		return model.Demand{}, errForm
	}
	of, err := p.find(e.Args[0])
	if err != nil {
		return model.Demand{}, err
	}
	in, err := p.find(e.Args[1])
	if err != nil {
		return model.Demand{}, err
	}
	v, w := p.values[of], p.values[in]
	switch {
	case !v.result || w.result:
		return model.Demand{}, fmt.Errorf("it takes a result and an argument")
	case v.t.String() != w.t.String():
		return model.Demand{}, fmt.Errorf("%s is %v and %s is %v", v.name, v.t, w.name, w.t)
	case !plain(v.t):
		return model.Demand{}, fmt.Errorf("%s holds maps or pointers", v.name)
	}
	return model.Demand{Rule: model.Within, Value: of, Factors: []model.Factor{{Value: in}}}, nil
}

// plain reports whether t is made of structs, slices and arrays only.
func plain(t *model.Type) bool {
	if t.Kind == model.Map || t.Kind == model.Pointer || t.Kind == model.Buffer {
		return false
	}
	return (t.Elem == nil || plain(t.Elem)) && !slices.ContainsFunc(t.Fields, func(f model.Field) bool { return !plain(f.Type) })
}

func isText(t *model.Type) bool {
	switch t.Kind {
	case model.String, model.Bytes, model.Refused:
		return true
	case model.Slice:
		k := t.Elem.Kind
		return k == model.Int32 || k == model.Uint32 || k == model.Int16 || k == model.Uint16
	}
	return false
}

func hasLength(t *model.Type) bool {
	return t.Kind == model.String || t.Kind == model.Bytes || t.Kind == model.Slice || t.Kind == model.Refused
}

func (p checkParser) length(e *ast.BinaryExpr) (model.Demand, error) {
	c := model.Demand{Unit: 1, Rule: model.AtMost}
	switch e.Op {
	case token.EQL:
		c.Rule = model.Exactly
	case token.LEQ:
	default:
		return c, errForm
	}
	left := e.X
	if product, ok := left.(*ast.BinaryExpr); ok && product.Op == token.MUL {
		unit, err := constant(product.Y)
		if err != nil {
			return c, err
		}
		left, c.Unit = product.X, unit
	}
	of := called(left, "len")
	if of == nil {
		return c, errForm
	}
	var err error
	if c.Value, err = p.find(of); err != nil {
		return c, err
	}
	if v := p.values[c.Value]; !hasLength(v.t) {
		return c, fmt.Errorf("%s has no length that varies", v.name)
	}
	c.Factors, err = p.product(e.Y)
	return c, err
}

func constant(expr ast.Expr) (int64, error) {
	lit, ok := expr.(*ast.BasicLit)
	if !ok || lit.Kind != token.INT {
		return 0, errForm
	}
	n, err := strconv.ParseInt(lit.Value, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is too large", lit.Value)
	}
	return n, nil
}

// product returns the factors of expr.
func (p checkParser) product(expr ast.Expr) ([]model.Factor, error) {
	switch e := expr.(type) {
	case *ast.BinaryExpr:
		if e.Op != token.MUL {
			return nil, errForm
		}
		left, err := p.product(e.X)
		if err != nil {
			return nil, err
		}
		right, err := p.product(e.Y)
		return append(left, right...), err
	case *ast.BasicLit:
		n, err := constant(e)
		return []model.Factor{{Const: n, Value: -1}}, err
	}
	of := called(expr, "len")
	if of == nil {
		of = expr
	}
	i, err := p.find(of)
	if err != nil {
		return nil, err
	}
	v := p.values[i]
	switch {
	case v.result:
		return nil, fmt.Errorf("%s is a result; a bound must be known when the call is made", v.name)
	case of != expr && !hasLength(v.t):
		return nil, fmt.Errorf("%s has no length that varies", v.name)
	case of == expr && !isInteger(v.t.Kind):
		return nil, fmt.Errorf("%s is no integer", v.name)
	}
	return []model.Factor{{Value: i, Len: of != expr}}, nil
}

func isInteger(k model.Kind) bool { return k >= model.Int && k <= model.Uint64 || k == model.Refused }
