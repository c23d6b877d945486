package edl

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxArray is how many bytes an array of fixed length may have; a longer one is
// a slice whose length is checked.
const maxArray = 4096

// contract writes an interface of functions.
func (w *writer) contract(name, directive, doc string, functions []*Function) {
	if len(functions) == 0 {
		return
	}
	w.printf("\n// %s is %s\n//\n//%s\ntype %s interface {\n", name, strings.ToLower(doc[:1])+doc[1:], directive, name)
	names := methodNames(functions)
	for i, f := range functions {
		w.method(f, names[i])
	}
	w.printf("}\n")
}

// access returns the directives that a private ECALL has, and an OCALL that
// allows one: others may be called at any time.
func (w *writer) access(f *Function) []string {
	if slices.Contains(w.e.Trusted, f) {
		if f.Public {
			return nil
		}
		return []string{"//secgear:private"}
	}
	names := methodNames(w.e.Trusted)
	var allowed []string
	for i, t := range w.e.Trusted {
		if !t.Public && slices.ContainsFunc(f.Allow, func(n Name) bool { return n.Text == t.Name }) {
			allowed = append(allowed, TrustedName+"."+names[i])
		}
	}
	if allowed == nil {
		return nil
	}
	return []string{"//secgear:allow " + strings.Join(allowed, ", ")}
}

// methodNames names methods so that none is what another's stub is called.
func methodNames(functions []*Function) []string {
	s := scope{}
	names := make([]string, len(functions))
	for i, f := range functions {
		names[i] = s.pick(exported(f.Name))
	}
	for i, name := range names {
		if rest, ok := strings.CutPrefix(name, "Start"); ok && s[rest] {
			names[i] = s.pick("Do" + name)
		}
	}
	return names
}

// signature collects what becomes of a function's parameters.
type signature struct {
	names   map[string]string // C parameter → Go argument
	scope   scope
	args    []string
	results []string
	checks  []string
}

func (s *signature) check(format string, args ...any) {
	s.checks = append(s.checks, "//secgear:check "+fmt.Sprintf(format, args...))
}

func (s *signature) result(name, typ string) string {
	name = s.scope.pick(name)
	s.results = append(s.results, name+" "+typ)
	return name
}

// method writes one method.
func (w *writer) method(f *Function, name string) {
	s := &signature{names: map[string]string{}, scope: scope{"ctx": true, "err": true}}
	for _, d := range f.Params {
		s.names[d.Name] = s.scope.pick(local(d.Name))
	}
	if !f.Return.isVoid() {
		s.result("result", w.returned(f.Return))
	}
	for _, d := range f.Params {
		w.param(s, d)
	}
	if f.Errno {
		s.result("errno", "int32")
	}
	w.printf("// %s is %s of %s:\n//\n//\t%s\n", name, f.Name, filepath.Base(f.Pos.Filename), f)
	if directives := append(w.access(f), s.checks...); len(directives) > 0 {
		w.printf("//\n%s\n", strings.Join(directives, "\n"))
	}
	args := strings.Join(append([]string{"ctx context.Context"}, s.args...), ", ")
	if len(s.results) == 0 {
		w.printf("%s(%s) error\n", name, args)
		return
	}
	w.printf("%s(%s) (%s, err error)\n", name, args, strings.Join(s.results, ", "))
}

func (w *writer) returned(t Type) string {
	if t.Pointers > 0 {
		return address.name
	}
	return w.baseType(t).name
}

// param adds what becomes of one parameter.
func (w *writer) param(s *signature, d *Decl) {
	name := s.names[d.Name]
	pointer := d.Type.Pointers > 0 || len(d.Dims) > 0 || d.has("isptr") || d.has("isary")
	switch {
	case !pointer:
		s.args = append(s.args, name+" "+w.baseType(d.Type).name)
	case !d.directed() || d.has("user_check"):
		s.args = append(s.args, name+" "+address.name)
	case d.has("string"):
		w.text(s, d, "string")
	case d.has("wstring"):
		w.text(s, d, "[]rune")
	default:
		w.buffer(s, d, w.pointee(d, s.names))
	}
}

// text adds a text that ends with a NUL in C.
func (w *writer) text(s *signature, d *Decl, typ string) {
	name := s.names[d.Name]
	s.args = append(s.args, name+" "+typ)
	s.check("nonul(%s)", name)
	if d.has("out") {
		out := s.result(name+"Out", typ)
		s.check("len(%s) <= len(%s)", out, name)
		s.check("nonul(%s)", out)
	}
}

// buffer adds memory that is copied in, out or both ways.
func (w *writer) buffer(s *signature, d *Decl, p pointee) {
	name := s.names[d.Name]
	if d.has("in") {
		s.args = append(s.args, name+" "+p.typ)
		if p.bound != "" {
			s.check("%s == %s", p.length(name), p.bound)
		}
	}
	if !d.has("out") {
		return
	}
	out := name
	if d.has("in") {
		out = s.scope.pick(name + "Out")
	}
	s.results = append(s.results, out+" "+p.typ)
	if p.bound != "" {
		s.check("%s <= %s", p.length(out), p.bound)
	}
	if d.has("in") && w.followed(d.Type) {
		s.check("within(%s, %s)", out, name)
	}
}

// followed reports whether t leads to structs whose own pointers are followed.
func (w *writer) followed(t Type) bool {
	c := w.composite(t)
	if c == nil || t.Pointers > 1 || c.Shape != StructShape {
		return false
	}
	for _, d := range c.Members {
		if w.follows(c, d) || d.Type.Pointers == 0 && w.followed(d.Type) {
			return true
		}
	}
	return false
}

// pointee is what a pointer that is followed leads to.
type pointee struct {
	typ   string // Go type
	unit  int64  // what each element counts
	bound string // what the elements count together, "" if the type says it
	fixed bool   // the bound is a number
}

// length returns the left side of a check.
func (p pointee) length(name string) string {
	if p.unit == 1 {
		return "len(" + name + ")"
	}
	return fmt.Sprintf("len(%s)*%d", name, p.unit)
}

// pointee tells what d points to. The names are those that sizes and counts
// can refer to.
func (w *writer) pointee(d *Decl, names map[string]string) pointee {
	if len(d.Dims) > 0 {
		return w.array(d)
	}
	size, count := d.attr("size"), d.attr("count")
	var elem goType
	switch {
	case d.Type.Pointers > 1:
		elem = address
	case size != nil && w.isOpaque(d.Type): // only the user knows the shape
		elem = scalar("byte", 1)
	default:
		elem = w.baseType(d.Type)
	}
	switch {
	case d.has("isary"), size == nil && count == nil:
		return pointee{typ: elem.name}
	case size == nil:
		return w.elements(elem, 1, []*Value{count.Value}, names)
	case elem.size == 0: // it holds something of such a shape
		elem = scalar("byte", 1)
	}
	values := []*Value{size.Value}
	if count != nil {
		values = append(values, count.Value)
	}
	return w.elements(elem, elem.size, values, names)
}

// array tells of a parameter that is an array in C.
func (w *writer) array(d *Decl) pointee {
	g := w.memberType(d.Type, d.Dims)
	if g.size <= maxArray {
		return pointee{typ: g.name}
	}
	elem, n := w.memberType(d.Type, nil), int64(1)
	for _, dim := range d.Dims {
		size, _ := w.dim(dim)
		n = saturated(n, size)
	}
	return pointee{typ: "[]" + elem.name, unit: 1, bound: strconv.FormatInt(n, 10), fixed: true}
}

// elements tells of a number of elements that count unit each and the product
// of values together.
func (w *writer) elements(elem goType, unit int64, values []*Value, names map[string]string) pointee {
	total, factors := int64(1), []string{}
	fixed := true
	for _, v := range values {
		if n, ok := w.number(v); ok && (v.Number || names[v.Text] == "") {
			total = saturated(total, n)
			factors = append(factors, strconv.FormatInt(n, 10))
			continue
		}
		fixed = false
		factors = append(factors, names[v.Text])
	}
	if !fixed {
		return pointee{typ: "[]" + elem.name, unit: unit, bound: strings.Join(factors, "*")}
	}
	n := total / unit
	switch {
	case total%unit != 0: // part of an element: only its bytes can cross
		return pointee{typ: "[" + strconv.FormatInt(total, 10) + "]byte"}
	case elem.size == 0 && n != 1, saturated(max(elem.size, 1), n) > maxArray:
		return pointee{typ: "[]" + elem.name, unit: 1, bound: strconv.FormatInt(n, 10), fixed: true}
	case n == 1:
		return pointee{typ: elem.name}
	}
	return pointee{typ: "[" + strconv.FormatInt(n, 10) + "]" + elem.name}
}
