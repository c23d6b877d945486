package gowrite

import (
	"fmt"
	"strings"

	"github.com/secgear/secgear/sdk/idl/model"
)

// The streams of helper functions, which are pointers.
var (
	encoder = stream{name: "e"}
	decoder = stream{name: "d"}
)

// body is the source of one function's statements. Empty statements are left
// out, so that what takes no bytes leaves no trace.
type body []string

func (b *body) add(statements ...string) {
	for _, s := range statements {
		if s != "" {
			*b = append(*b, s)
		}
	}
}

// loop adds statements within a loop, or nothing if there are none.
func (b *body) loop(head string, statements ...string) {
	var inner body
	inner.add(statements...)
	if inner != nil {
		b.add(head+" {", inner.String(), "}")
	}
}

func (b body) String() string { return strings.Join(b, "\n") }

// helper returns the source of t's functions.
func (c codec) helperSource(t *model.Type) string {
	param := c.goType(t)
	if isInPlace(t) {
		param = "*" + param
	}
	name, call := c.helpers.name(t), c.imports.name(callPath)
	var out strings.Builder
	if c.needsSize(t) {
		fmt.Fprintf(&out, "func size%s(v %s) int {\n%s\n}\n\n", name, param, c.sizeBody(t))
	}
	fmt.Fprintf(&out, "func encode%s(e *%s.Encoder, v %s) {\n%s\n}\n\n", name, call, param, c.encodeBody(t))
	if isInPlace(t) {
		fmt.Fprintf(&out, "func decode%s(d *%s.Decoder, v %s) {\n%s\n}\n\n", name, call, param, c.decodeInPlace(t))
	} else {
		fmt.Fprintf(&out, "func decode%s(d *%s.Decoder) %s {\n%s\n}\n\n", name, call, param, c.decodeBody(t))
	}
	if c.helpers.compared(t) {
		out.WriteString(c.withinSource(t))
	}
	return out.String()
}

// needsSize reports whether sizes of t are computed by a function.
func (c codec) needsSize(t *model.Type) bool {
	if t.Kind == model.Slice || t.Kind == model.Map {
		_, fixed := fixedEach(t)
		return !fixed
	}
	return !t.Size().Fixed
}

func (c codec) sizeBody(t *model.Type) body {
	var b body
	switch t.Kind {
	case model.Struct:
		var sum size
		for _, f := range t.Fields {
			sum.add(c.size(f.Type, "v."+f.Name))
		}
		b.add("return " + sum.String())
	case model.Pointer:
		sum := size{fixed: 1}
		if elem := t.Elem.Size(); elem.Fixed {
			sum.fixed += elem.Min
		} else {
			sum.terms = []string{fmt.Sprintf("size%s(v)", c.helpers.name(t.Elem))}
		}
		b.add("if v == nil {", "return 1", "}", "return "+sum.String())
	case model.Slice, model.Array:
		c.sizeOfElements(&b, t)
	case model.Map:
		c.sizeOfEntries(&b, t)
	}
	return b
}

func (c codec) sizeOfElements(b *body, t *model.Type) {
	elem := c.size(t.Elem, "v[i]")
	count := size{}
	if t.Kind == model.Slice {
		count.fixed = 4
	}
	if elem.fixed > 0 {
		count.add(size{terms: []string{each(elem.fixed).times("len(v)")}})
	}
	b.add("n := " + count.String())
	b.loop("for i := range v", "n += "+size{terms: elem.terms}.String())
	b.add("return n")
}

func (c codec) sizeOfEntries(b *body, t *model.Type) {
	key, elem := c.size(t.Key, "k"), c.size(t.Elem, "m")
	count := size{fixed: 4}
	if fixed := key.fixed + elem.fixed; fixed > 0 {
		count.terms = []string{each(fixed).times("len(v)")}
	}
	b.add("n := " + count.String())
	b.loop(rangeMap(key.terms != nil, elem.terms != nil), "n += "+size{terms: append(key.terms, elem.terms...)}.String())
	b.add("return n")
}

// rangeMap returns the head of a loop over a map that uses what is asked for.
func rangeMap(key, elem bool) string {
	switch {
	case !elem:
		return "for k := range v"
	case !key:
		return "for _, m := range v"
	}
	return "for k, m := range v"
}

func (c codec) encodeBody(t *model.Type) body {
	var b body
	switch t.Kind {
	case model.Struct:
		for _, f := range t.Fields {
			b.add(c.encode(f.Type, "v."+f.Name, encoder))
		}
		b.add(c.structChecks(t, encoder)...)
	case model.Pointer:
		b.add("e.Bool(v != nil)")
		if !isNothing(t.Elem) {
			b.add("if v != nil {", fmt.Sprintf("encode%s(e, v)", c.helpers.name(t.Elem)), "}")
		}
	case model.Slice:
		b.add("e.Count(len(v))")
		b.loop("for i := range v", c.encode(t.Elem, "v[i]", encoder))
	case model.Array:
		b.loop("for i := range v", c.encode(t.Elem, "v[i]", encoder))
	case model.Map:
		b.add("e.Count(len(v))")
		b.loop(rangeMap(true, !isNothing(t.Elem)), c.encode(t.Key, "k", encoder), c.encode(t.Elem, "m", encoder))
	}
	return b
}

// decodeInPlace fills *v.
func (c codec) decodeInPlace(t *model.Type) body {
	var b body
	if t.Kind == model.Array {
		b.loop("for i := range v", c.decode(t.Elem, "v[i]", decoder))
	}
	for _, f := range t.Fields {
		b.add(c.decode(f.Type, "v."+f.Name, decoder))
	}
	b.add(c.structChecks(t, decoder)...)
	return b
}

// decodeBody returns a new value.
func (c codec) decodeBody(t *model.Type) body {
	var b body
	switch t.Kind {
	case model.Pointer:
		b.add("if !d.Bool() {", "return nil", "}", fmt.Sprintf("v := new(%s)", c.goType(t.Elem)))
		if !isNothing(t.Elem) {
			b.add(fmt.Sprintf("decode%s(d, v)", c.helpers.name(t.Elem)))
		}
	case model.Slice:
		b.add(fmt.Sprintf("n := d.Count(%d)", t.Elem.Size().Min), "if n == 0 {", "return nil", "}")
		b.add(fmt.Sprintf("v := make(%s, n)", c.goType(t)))
		b.loop("for i := range v", c.decode(t.Elem, "v[i]", decoder))
	case model.Map:
		c.decodeMap(&b, t)
	}
	b.add("return v")
	return b
}

func (c codec) decodeMap(b *body, t *model.Type) {
	entry, _ := fixedEach(t)
	hint := ", n"
	if t.Key.Size().Min <= 2 { // more entries than keys can only be a lie
		hint = ""
	}
	b.add(fmt.Sprintf("n := d.Count(%d)", entry), fmt.Sprintf("v := make(%s%s)", c.goType(t), hint))
	b.loop("for range n",
		c.declare(t.Key, "k", decoder),
		c.declare(t.Elem, "m", decoder),
		"if _, twice := v[k]; twice {",
		`d.Fail("a key twice in a map")`,
		"return v",
		"}",
		"v[k] = m",
	)
}
