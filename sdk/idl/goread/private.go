package goread

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"

	"github.com/secgear/secgear/sdk/idl/model"
)

// allowance is one name in an allow directive, until all contracts are read.
type allowance struct {
	pos  token.Position
	by   *model.Method
	name string // Contract.Method
}

// visibility reads the directives that make a method private, or allow others
// that are.
func (r *reader) visibility(c *model.Contract, m *model.Method, doc *ast.CommentGroup) {
	if c.Direction == model.ECALL {
		m.Private = r.directives.take(doc, privateDirective)
		return
	}
	if doc == nil {
		return
	}
	for _, comment := range doc.List {
		d, ok := r.directives[comment]
		if !ok || d.name != allowDirective {
			continue
		}
		d.taken = true
		r.directives[comment] = d
		for _, name := range strings.FieldsFunc(d.args, func(c rune) bool { return c == ' ' || c == ',' }) {
			r.allowed = append(r.allowed, allowance{d.pos, m, name})
		}
	}
}

// resolve finds the methods that allow directives name.
func (r *reader) resolve(p *model.Package) {
	methods := map[string]*model.Method{}
	for _, c := range p.Contracts {
		for _, m := range c.Methods {
			if m.Private {
				methods[c.Name+"."+m.Name] = m
			}
		}
	}
	for _, a := range r.allowed {
		if contract, _, _ := strings.Cut(a.name, "."); r.refused[contract] {
			continue
		}
		m := methods[a.name]
		if m == nil {
			r.faults.Addf(a.pos, "//%s %s: there is no method of this name that is marked //%s; write Contract.Method", allowDirective, a.name, privateDirective)
			continue
		}
		if !slices.Contains(a.by.Allows, m) {
			a.by.Allows = append(a.by.Allows, m)
		}
	}
}
