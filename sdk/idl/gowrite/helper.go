package gowrite

import (
	"strconv"

	"github.com/secgear/secgear/sdk/idl/model"
)

// helpers are the composite types that have functions of their own for size,
// encoding and decoding.
type helpers struct {
	names  *names
	byText map[string]string // the type's text → name; types written alike share a helper
	order  []*model.Type     // as they were first met
	within map[string]bool   // texts of types whose lengths are compared
}

func newHelpers(n *names, p *model.Package) *helpers {
	h := &helpers{names: n, byText: map[string]string{}, within: map[string]bool{}}
	for _, c := range p.Contracts {
		for _, m := range c.Methods {
			for _, list := range [][]model.Value{m.Args, m.Results} {
				for _, v := range list {
					h.add(v.Type)
				}
			}
			for _, d := range m.Checks {
				if d.Rule == model.Within {
					h.compare(m.Args[d.Factors[0].Value].Type)
				}
			}
		}
	}
	return h
}

// add plans helpers for t and what it is made of.
func (h *helpers) add(t *model.Type) {
	_, simple := runtimeNames[t.Kind]
	if simple || isNothing(t) || t.IsRaw() {
		return
	}
	text := t.String()
	if _, ok := h.byText[text]; ok {
		return
	}
	h.byText[text] = h.names.fresh("the encoding of "+text, nameOf(t),
		func(s string) string { return "size" + s },
		func(s string) string { return "encode" + s },
		func(s string) string { return "decode" + s },
		func(s string) string { return "within" + s })
	h.order = append(h.order, t)
	if t.Elem != nil {
		h.add(t.Elem)
	}
	for _, f := range t.Fields {
		h.add(f.Type)
	}
}

// compare plans to compare lengths in values of t and what it is made of.
func (h *helpers) compare(t *model.Type) {
	if t == nil || !hasLengths(t) || h.within[t.String()] {
		return
	}
	h.within[t.String()] = true
	h.compare(t.Elem)
	for _, f := range t.Fields {
		h.compare(f.Type)
	}
}

// compared reports whether t has a function that compares lengths.
func (h *helpers) compared(t *model.Type) bool {
	return h.within[t.String()] && (isInPlace(t) || t.Kind == model.Slice && hasLengths(t.Elem))
}

// name returns what the names of t's helpers end in.
func (h *helpers) name(t *model.Type) string { return h.byText[t.String()] }

// nameOf returns a name that describes t: []Person → PersonSlice.
func nameOf(t *model.Type) string {
	switch {
	case t.Name != "":
		return upper(t.Name)
	case t.Kind == model.Pointer:
		return nameOf(t.Elem) + "Pointer"
	case t.Kind == model.Slice:
		return nameOf(t.Elem) + "Slice"
	case t.Kind == model.Array:
		return nameOf(t.Elem) + "Array" + strconv.FormatInt(t.Len, 10)
	case t.Kind == model.Map:
		return nameOf(t.Key) + nameOf(t.Elem) + "Map"
	}
	if t.Kind == model.Struct {
		return "Struct"
	}
	return runtimeNames[t.Kind]
}
