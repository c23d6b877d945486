package gowrite

import (
	"fmt"
	"strings"

	"github.com/secgear/secgear/sdk/idl/model"
)

// hasLengths reports whether values of t have lengths that vary. Demands of
// this kind are on types that do not contain themselves.
func hasLengths(t *model.Type) bool {
	switch t.Kind {
	case model.String, model.Bytes, model.Slice:
		return true
	case model.Array:
		return hasLengths(t.Elem)
	}
	for _, f := range t.Fields {
		if hasLengths(f.Type) {
			return true
		}
	}
	return false
}

// within returns the expression that tells whether no length in v, of type t,
// is greater than the one at its place in w.
func (c codec) within(t *model.Type, v, w string) string {
	switch {
	case t.Kind == model.String || t.Kind == model.Bytes || t.Kind == model.Slice && !hasLengths(t.Elem):
		return fmt.Sprintf("len(%s) <= len(%s)", v, w)
	case !hasLengths(t):
		return "true"
	case isInPlace(t):
		v, w = "&"+v, "&"+w
	}
	return fmt.Sprintf("within%s(%s, %s)", c.helpers.name(t), v, w)
}

// withinSource returns the function that compares the lengths in values of t.
func (c codec) withinSource(t *model.Type) string {
	param := c.goType(t)
	var b body
	switch t.Kind {
	case model.Slice, model.Array:
		if t.Kind == model.Slice {
			b.add("if len(v) > len(w) {", "return false", "}")
		} else {
			param = "*" + param
		}
		b.add("for i := range v {", "if !("+c.within(t.Elem, "v[i]", "w[i]")+") {", "return false", "}", "}", "return true")
	case model.Struct:
		param = "*" + param
		var all []string
		for _, f := range t.Fields {
			if hasLengths(f.Type) {
				all = append(all, c.within(f.Type, "v."+f.Name, "w."+f.Name))
			}
		}
		b.add("return " + strings.Join(all, " && "))
	}
	return fmt.Sprintf("func within%s(v, w %s) bool {\n%s\n}\n\n", c.helpers.name(t), param, b)
}
