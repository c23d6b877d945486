package gowrite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/secgear/secgear/sdk/idl/model"
)

// methodView is what the templates show of a method.
type methodView struct {
	*contractView
	codec codec
	m     *model.Method

	Name     string
	Index    int
	Switched bool
	Serve    string
	Call     string
	Gate     string   // of a private method
	Opens    []string // gates of the methods that this one allows

	args    []value
	Results []value
	scope   scope
	local   map[string]string // names that Local gave
}

// value is an argument or result with the name it has in generated code.
type value struct {
	name string
	t    *model.Type
}

// method returns the view of m, method number index of c.
func (p *plan) method(c *contractView, codec codec, m *model.Method, index int) *methodView {
	v := &methodView{
		contractView: c, codec: codec, m: m,
		Name: m.Name, Index: index, Switched: m.Switched,
		Serve: p.serve[m], Call: c.Contract + m.Name + "Call",
		Gate:  p.gates[m],
		scope: scope{}, local: map[string]string{},
	}
	for _, other := range m.Allows {
		v.Opens = append(v.Opens, p.gates[other])
	}
	v.args = p.values(v.scope, "Arg", m.Args)
	v.Results = p.values(v.scope, "Result", m.Results)
	nameBlanks(v.scope, "a", v.args)
	nameBlanks(v.scope, "r", v.Results)
	return v
}

// values names values as the contract does, with a suffix if that would hide
// something generated code needs.
func (p *plan) values(s scope, suffix string, list []model.Value) []value {
	var out []value
	for _, v := range list {
		name := v.Name
		if p.reserved[name] {
			name += suffix
		}
		if name != "" && name != "_" {
			name = s.pick(name)
		}
		out = append(out, value{name, v.Type})
	}
	return out
}

// nameBlanks gives values without a name a letter and their number.
func nameBlanks(s scope, letter string, list []value) {
	for i := range list {
		if name := list[i].name; name == "" || name == "_" {
			list[i].name = s.pick(fmt.Sprintf("%s%d", letter, i))
		}
	}
}

// Local returns the name of a variable of generated code beside the contract's
// own names.
func (v *methodView) Local(name string) string {
	if v.local[name] == "" {
		v.local[name] = v.scope.pick(name)
	}
	return v.local[name]
}

// Doc returns the method's doc comment.
func (v *methodView) Doc() string {
	if v.m.Doc == "" {
		return fmt.Sprintf("%s calls %s %s.", v.Name, v.Name, v.There)
	}
	return v.m.Doc
}

// Params returns ", a, b int64" for the arguments.
func (v *methodView) Params() string {
	if len(v.args) == 0 {
		return ""
	}
	return ", " + v.declared(v.args)
}

// declared returns "a, b int64, s string".
func (v *methodView) declared(list []value) string {
	var out strings.Builder
	for i, x := range list {
		if i > 0 {
			out.WriteString(", ")
		}
		out.WriteString(x.name)
		if t := v.codec.goType(x.t); i == len(list)-1 || v.codec.goType(list[i+1].t) != t {
			out.WriteString(" " + t)
		}
	}
	return out.String()
}

// ArgNames returns ", a, b".
func (v *methodView) ArgNames() string {
	var out strings.Builder
	for _, a := range v.args {
		out.WriteString(", " + a.name)
	}
	return out.String()
}

// ResultNames returns "r0, r1, ".
func (v *methodView) ResultNames() string {
	var out strings.Builder
	for _, r := range v.Results {
		out.WriteString(r.name + ", ")
	}
	return out.String()
}

// Returns returns the results as the contract has them.
func (v *methodView) Returns() string {
	if named(v.m) {
		return v.NamedReturns()
	}
	var types []string
	for _, r := range v.Results {
		types = append(types, v.codec.goType(r.t))
	}
	types = append(types, "error")
	if len(types) == 1 {
		return types[0]
	}
	return "(" + strings.Join(types, ", ") + ")"
}

// named reports whether the contract names any of m's results but the error.
func named(m *model.Method) bool {
	for _, r := range m.Results {
		if r.Name != "" && r.Name != "_" {
			return true
		}
	}
	return false
}

// NamedReturns returns "(r0 int64, err error)".
func (v *methodView) NamedReturns() string {
	if len(v.Results) == 0 {
		return "error"
	}
	return "(" + v.declared(v.Results) + ", " + v.Local("err") + " error)"
}

// The statements and sizes of the messages.

// ArgSize returns the size of the arguments.
func (v *methodView) ArgSize() string { return v.sizeOf(v.args) }

// ResultSize returns the size of the results.
func (v *methodView) ResultSize() string { return v.sizeOf(v.Results) }

// EncodeArgs returns the statements that encode the arguments.
func (v *methodView) EncodeArgs() body { return v.encodeAll(v.args) }

// EncodeResults returns the statements that encode the results.
func (v *methodView) EncodeResults() body { return v.encodeAll(v.Results) }

// DecodeArgs returns the statements that declare and decode the arguments.
func (v *methodView) DecodeArgs() body {
	var b body
	for _, a := range v.args {
		b.add(v.codec.declare(a.t, a.name, stream{v.Local("d"), true}))
	}
	return b
}

// DecodeResults returns the statements that decode the results.
func (v *methodView) DecodeResults() body {
	var b body
	for _, r := range v.Results {
		b.add(v.codec.decode(r.t, r.name, stream{v.Local("d"), true}))
	}
	return b
}

func (v *methodView) sizeOf(list []value) string {
	var sum size
	for _, x := range list {
		sum.add(v.codec.size(x.t, x.name))
	}
	return sum.String()
}

func (v *methodView) encodeAll(list []value) body {
	var b body
	for _, x := range list {
		b.add(v.codec.encode(x.t, x.name, stream{v.Local("e"), true}))
	}
	return b
}

// For tests.

// ZeroArgs returns ", 0, 0": values as close to zero as the method's demands
// allow.
func (v *methodView) ZeroArgs() string {
	var out strings.Builder
	for i, a := range v.args {
		if n := v.fixedLength(i); n > 0 {
			fmt.Fprintf(&out, ", make(%s, %d)", v.codec.goType(a.t), n)
			continue
		}
		out.WriteString(", " + v.codec.zero(a.t))
	}
	return out.String()
}

// fixedLength returns the length that argument i must have whatever the others
// are, or 0.
func (v *methodView) fixedLength(i int) int64 {
	for _, d := range v.m.Checks {
		if d.Value != i || d.Rule != model.Exactly || slices.ContainsFunc(d.Factors, func(f model.Factor) bool { return f.Value >= 0 }) {
			continue
		}
		n := int64(1)
		for _, f := range d.Factors {
			n *= f.Const
		}
		return n / max(d.Unit, 1)
	}
	return 0
}

// Blanks returns "_, _, ".
func (v *methodView) Blanks() string { return strings.Repeat("_, ", len(v.Results)) }

// ArgTypes returns ", int64, int64".
func (v *methodView) ArgTypes() string {
	var out strings.Builder
	for _, a := range v.args {
		out.WriteString(", " + v.codec.goType(a.t))
	}
	return out.String()
}

// BlankResults returns "_ int64, ".
func (v *methodView) BlankResults() string {
	var out strings.Builder
	for _, r := range v.Results {
		out.WriteString("_ " + v.codec.goType(r.t) + ", ")
	}
	return out.String()
}
