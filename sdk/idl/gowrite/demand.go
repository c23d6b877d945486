package gowrite

import (
	"fmt"
	"strconv"

	"github.com/secgear/secgear/sdk/idl/model"
)

// checked is a value that checks refer to: how generated code names it, and how
// an error does.
type checked struct {
	expr, name string
	t          *model.Type
}

// checkSource returns the statement by which stream s enforces check c, whose
// bound is given or else computed from values.
func (c codec) checkSource(check model.Demand, values []checked, s stream, bound string) string {
	v := values[check.Value]
	switch check.Rule {
	case model.NoNUL:
		return fmt.Sprintf("%s.NoZero(%q, %s)", s.name, v.name, c.hasZero(v))
	case model.Within:
		if bound == "" {
			bound = values[check.Factors[0].Value].expr
		}
		return fmt.Sprintf("%s.Within(%q, %s)", s.name, v.name, c.within(v.t, v.expr, bound))
	}
	method := "Exactly"
	if check.Rule == model.AtMost {
		method = "AtMost"
	}
	if bound == "" {
		bound = c.bound(check.Factors, values)
	}
	what := "len(" + v.name + ")"
	have := "uint64(len(" + v.expr + "))"
	if check.Unit != 1 {
		what += "*" + strconv.FormatInt(check.Unit, 10)
		have = fmt.Sprintf("%s.Product(%s, %d)", c.imports.name(callPath), have, check.Unit)
	}
	return fmt.Sprintf("%s.%s(%q, %s, %s)", s.name, method, what, have, bound)
}

func (c codec) hasZero(v checked) string {
	if v.t.Kind == model.String {
		return fmt.Sprintf("%s.HasNUL(%s)", c.imports.name(callPath), v.expr)
	}
	return fmt.Sprintf("%s.HasZero(%s)", c.imports.name(callPath), v.expr)
}

// bound returns the expression for a product.
func (c codec) bound(factors []model.Factor, values []checked) string {
	out := ""
	for _, f := range factors {
		var one string
		switch {
		case f.Value < 0:
			one = strconv.FormatInt(f.Const, 10)
		case f.Len:
			one = "uint64(len(" + values[f.Value].expr + "))"
		default:
			one = fmt.Sprintf("%s.Number(%s)", c.imports.name(callPath), values[f.Value].expr)
		}
		if out == "" {
			out = one
		} else {
			out = fmt.Sprintf("%s.Product(%s, %s)", c.imports.name(callPath), out, one)
		}
	}
	return out
}

// structChecks returns the statements that check the fields of t in v.
func (c codec) structChecks(t *model.Type, s stream) body {
	var values []checked
	for _, f := range t.Fields {
		values = append(values, checked{"v." + f.Name, t.String() + "." + f.Name, f.Type})
	}
	var b body
	for _, check := range t.Checks {
		b.add(c.checkSource(check, values, s, ""))
	}
	return b
}

// values returns the arguments and results that checks refer to, under the
// names that generated code has for them.
func (v *methodView) values() []checked {
	var out []checked
	for i, a := range v.args {
		out = append(out, checked{a.name, v.m.Args[i].Name, a.t})
	}
	for i, r := range v.Results {
		out = append(out, checked{r.name, v.m.Results[i].Name, r.t})
	}
	return out
}

// ofResult reports whether a check is one of a result.
func (v *methodView) ofResult(c model.Demand) bool { return c.Value >= len(v.args) }

// CheckArgs returns the statements by which the encoder or decoder checks the
// arguments.
func (v *methodView) CheckArgs(stream string) body { return v.checkAll(stream, false, false) }

// CheckResults returns the statements by which the server's encoder checks the
// results.
func (v *methodView) CheckResults(stream string) body { return v.checkAll(stream, true, false) }

// CheckAnswer returns the statements by which the client checks the results.
func (v *methodView) CheckAnswer(stream string) body { return v.checkAll(stream, true, true) }

func (v *methodView) checkAll(name string, results, kept bool) body {
	var b body
	for i, c := range v.m.Checks {
		if v.ofResult(c) != results {
			continue
		}
		bound := ""
		if kept && c.Rule != model.NoNUL {
			bound = v.Local("x") + "." + v.boundField(i)
		}
		b.add(v.codec.checkSource(c, v.values(), stream{v.Local(name), true}, bound))
	}
	return b
}

// boundField is the field of a call in flight that keeps the bound of check i.
func (v *methodView) boundField(i int) string { return "bound" + strconv.Itoa(i) }

// Bounds returns the fields of a call in flight that keep the bounds of its
// results.
func (v *methodView) Bounds() body {
	var b body
	for i, c := range v.m.Checks {
		switch {
		case !v.ofResult(c) || c.Rule == model.NoNUL:
		case c.Rule == model.Within:
			b.add(v.boundField(i) + " " + v.codec.goType(v.args[c.Factors[0].Value].t))
		default:
			b.add(v.boundField(i) + " uint64")
		}
	}
	return b
}

// KeepBounds returns the statements that set [methodView.Bounds].
func (v *methodView) KeepBounds() body {
	var b body
	for i, c := range v.m.Checks {
		if !v.ofResult(c) || c.Rule == model.NoNUL {
			continue
		}
		bound := v.codec.bound(c.Factors, v.values())
		if c.Rule == model.Within {
			bound = v.args[c.Factors[0].Value].name
		}
		b.add(fmt.Sprintf("%s.%s = %s", v.Local("x"), v.boundField(i), bound))
	}
	return b
}
