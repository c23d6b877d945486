package gowrite

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/secgear/secgear/sdk/idl/model"
)

// codec is how one file names and encodes types.
type codec struct {
	imports *imports
	helpers *helpers
}

// goType returns the Go expression for t.
func (c codec) goType(t *model.Type) string {
	switch {
	case t.Name != "":
		return t.Name
	case t.IsRaw():
		return "[" + strconv.FormatInt(t.Len, 10) + "]byte"
	}
	switch t.Kind {
	case model.Pointer:
		return "*" + c.goType(t.Elem)
	case model.Slice:
		return "[]" + c.goType(t.Elem)
	case model.Array:
		return "[" + strconv.FormatInt(t.Len, 10) + "]" + c.goType(t.Elem)
	case model.Map:
		return "map[" + c.goType(t.Key) + "]" + c.goType(t.Elem)
	case model.Struct:
		return "struct{}"
	}
	return c.plainType(t.Kind)
}

// plainType returns the Go type that the runtime encodes for a simple kind.
func (c codec) plainType(k model.Kind) string {
	switch k {
	case model.Time:
		return c.imports.name("time") + ".Time"
	case model.Duration:
		return c.imports.name("time") + ".Duration"
	case model.Buffer:
		return c.imports.name(shmPath) + ".Buffer"
	}
	return k.String()
}

// runtimeNames are the names that package call has for simple kinds: its
// encoder and decoder have a method of this name for each.
var runtimeNames = map[model.Kind]string{
	model.Bool: "Bool", model.Int: "Int", model.Int8: "Int8", model.Int16: "Int16", model.Int32: "Int32", model.Int64: "Int64",
	model.Uint: "Uint", model.Uint8: "Uint8", model.Uint16: "Uint16", model.Uint32: "Uint32", model.Uint64: "Uint64",
	model.Float32: "Float32", model.Float64: "Float64", model.String: "String", model.Bytes: "Bytes",
	model.Time: "Time", model.Duration: "Duration", model.Buffer: "Buffer",
}

// stream is an encoder or decoder in generated code.
type stream struct {
	name  string
	local bool // a variable, not a pointer to one
}

func (s stream) ref() string {
	if s.local {
		return "&" + s.name
	}
	return s.name
}

// isNothing reports whether t's values take no bytes.
func isNothing(t *model.Type) bool { return t.Size() == model.Size{Fixed: true} }

// isInPlace reports whether t's helpers take a pointer to the value, which
// spares copies of what may be large.
func isInPlace(t *model.Type) bool { return t.Kind == model.Struct || t.Kind == model.Array }

// encode returns the statement that encodes x, an addressable expression, or
// "" if there is nothing to write.
func (c codec) encode(t *model.Type, x string, e stream) string {
	name, simple := runtimeNames[t.Kind]
	switch {
	case isNothing(t):
		return ""
	case t.IsRaw():
		return fmt.Sprintf("%s.Raw(%s[:])", e.name, x)
	case simple && t.Name != "" && t.Kind != model.Bytes:
		return fmt.Sprintf("%s.%s(%s(%s))", e.name, name, c.plainType(t.Kind), x)
	case simple:
		return fmt.Sprintf("%s.%s(%s)", e.name, name, x)
	case isInPlace(t):
		x = "&" + x
	}
	return fmt.Sprintf("encode%s(%s, %s)", c.helpers.name(t), e.ref(), x)
}

// value returns the expression that decodes a t, or "" if it is decoded in
// place.
func (c codec) value(t *model.Type, d stream) string {
	name, simple := runtimeNames[t.Kind]
	switch {
	case isInPlace(t):
		return ""
	case simple && t.Name != "":
		return fmt.Sprintf("%s(%s.%s())", t.Name, d.name, name)
	case simple:
		return fmt.Sprintf("%s.%s()", d.name, name)
	}
	return fmt.Sprintf("decode%s(%s)", c.helpers.name(t), d.ref())
}

// decode returns the statement that decodes into x, an addressable expression,
// or "" if there is nothing to read.
func (c codec) decode(t *model.Type, x string, d stream) string {
	switch value := c.value(t, d); {
	case isNothing(t):
		return ""
	case value != "":
		return x + " = " + value
	case t.IsRaw():
		return fmt.Sprintf("%s.Raw(%s[:])", d.name, x)
	}
	return fmt.Sprintf("decode%s(%s, &%s)", c.helpers.name(t), d.ref(), x)
}

// declare returns the statements that declare x and decode into it.
func (c codec) declare(t *model.Type, x string, d stream) string {
	if value := c.value(t, d); value != "" {
		return x + " := " + value
	}
	return strings.TrimSuffix(fmt.Sprintf("var %s %s\n%s", x, c.goType(t), c.decode(t, x, d)), "\n")
}

// size is a sum in generated code: the size of values whose types are partly
// fixed.
type size struct {
	fixed int64
	terms []string
}

func (s *size) add(t size) {
	s.fixed += t.fixed
	s.terms = append(s.terms, t.terms...)
}

// String returns the sum as an expression.
func (s size) String() string {
	if s.fixed == 0 && s.terms != nil {
		return strings.Join(s.terms, " + ")
	}
	return strings.Join(append([]string{strconv.FormatInt(s.fixed, 10)}, s.terms...), " + ")
}

// size returns the size of x, an addressable expression.
func (c codec) size(t *model.Type, x string) size {
	if known := t.Size(); known.Fixed {
		return size{fixed: known.Min}
	}
	switch t.Kind {
	case model.String:
		if t.Name != "" {
			x = "string(" + x + ")"
		}
		return size{terms: []string{fmt.Sprintf("%s.SizeString(%s)", c.imports.name(callPath), x)}}
	case model.Bytes:
		return size{terms: []string{fmt.Sprintf("%s.SizeBytes(%s)", c.imports.name(callPath), x)}}
	case model.Slice, model.Map:
		if each, ok := fixedEach(t); ok {
			return size{fixed: 4, terms: []string{each.times("len(" + x + ")")}}
		}
	}
	if isInPlace(t) {
		x = "&" + x
	}
	return size{terms: []string{fmt.Sprintf("size%s(%s)", c.helpers.name(t), x)}}
}

// each is the size of an element in bytes.
type each int64

func (e each) times(n string) string {
	if e == 1 {
		return n
	}
	return fmt.Sprintf("%d*%s", e, n)
}

// fixedEach returns the size of each element of a slice or entry of a map, if
// that is fixed.
func fixedEach(t *model.Type) (each, bool) {
	s := t.Elem.Size()
	if t.Key != nil {
		key := t.Key.Size()
		s.Min += key.Min
		s.Fixed = s.Fixed && key.Fixed
	}
	return each(s.Min), s.Fixed
}

// zero returns the literal of t's zero value.
func (c codec) zero(t *model.Type) string {
	switch t.Kind {
	case model.Bool:
		return "false"
	case model.String:
		return `""`
	case model.Bytes, model.Pointer, model.Slice, model.Map:
		return "nil"
	case model.Time, model.Buffer, model.Struct, model.Array:
		return c.goType(t) + "{}"
	}
	return "0"
}
