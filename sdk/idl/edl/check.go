package edl

import (
	"go/token"
	"math"
	"strconv"

	"github.com/secgear/secgear/sdk/idl/model"
)

// checker applies the rules that the grammar does not express.
type checker struct {
	*Enclave
	options  Options
	faults   *model.Faults
	warnings *model.Faults
	seen     map[string]bool // values of enums
	partial  bool            // the imports of an SDK are not there
}

func (c *checker) fault(pos token.Position, format string, args ...any) {
	c.faults.Addf(pos, format, args...)
}

func (c *checker) warn(pos token.Position, format string, args ...any) {
	c.warnings.Addf(pos, format, args...)
}

// check checks everything, as far as it was parsed.
func (c *checker) check() {
	for _, t := range c.Types {
		c.composite(t)
	}
	for _, f := range c.Trusted {
		c.function(f, true)
	}
	for _, f := range c.Untrusted {
		c.function(f, false)
	}
	switch c.Dialect {
	case SGX:
		c.allowed()
		c.roots()
	case SecGear:
		c.allowed()
		if c.options.TrustZone {
			c.trustZone()
		}
	}
}

// composite checks a struct, union or enum.
func (c *checker) composite(t *Composite) {
	if t.Shape == EnumShape {
		c.enum(t)
		return
	}
	seen := map[string]bool{}
	for _, d := range t.Members {
		if seen[d.Name] {
			c.fault(d.Pos, "duplicate member `%s'", d.Name)
		}
		seen[d.Name] = true
		if c.Dialect == OpenEnclave {
			c.openEnclaveMember(t, d)
		} else {
			c.intelMember(t, d)
		}
	}
	c.sizes(t.Members, "struct", t.Name)
}

// enum gives each value its number. One that C headers define is not known.
func (c *checker) enum(t *Composite) {
	next, known := int64(0), true
	for _, v := range t.Values {
		if c.seen[v.Text] {
			c.fault(v.Pos, "duplicate enum value `%s'", v.Text)
			continue
		}
		c.seen[v.Text] = true
		if v.Value != nil {
			next, known = c.enumValue(v)
		}
		if known {
			c.values[v.Text] = next
		}
		next++
	}
}

func (c *checker) enumValue(v EnumValue) (int64, bool) {
	if !v.Value.Number {
		n, ok := c.values[v.Value.Text]
		if !ok {
			c.warn(v.Value.Pos, "`%s' is left out, and what follows without a value: %s is not known here; give it with -D %s=…", v.Text, v.Value.Text, v.Value.Text)
		}
		return n, ok
	}
	n, err := strconv.ParseInt(v.Value.Text, 10, 64)
	if err != nil || n > math.MaxUint32 {
		c.fault(v.Value.Pos, "%s does not fit an enum", v.Value.Text)
		return 0, false
	}
	return n, true
}

// function checks an ECALL or OCALL.
func (c *checker) function(f *Function, trusted bool) {
	if len(f.Dims) > 0 {
		c.fault(f.Pos, "%s: returning an array is not supported - use pointer instead.", f.Name)
	}
	seen := map[string]bool{}
	for _, d := range f.Params {
		if seen[d.Name] {
			c.fault(d.Pos, "duplicate parameter `%s'", d.Name)
		}
		seen[d.Name] = true
		if c.Dialect == OpenEnclave {
			c.openEnclaveParam(f, d)
		} else {
			c.intelParam(f, d)
		}
		if d.has("user_check") {
			c.warn(d.attr("user_check").Pos, "`%s': `%s' is user_check: its address crosses as a number, and nobody can read what it points to", f.Name, d.Name)
		}
	}
	c.sizes(f.Params, "Function", f.Name)
	if c.Dialect == OpenEnclave {
		c.openEnclaveFunction(f, trusted)
	} else {
		c.intelFunction(f)
	}
}

// sizes checks what size and count refer to.
func (c *checker) sizes(list []*Decl, what, owner string) {
	byName := map[string]*Decl{}
	for _, d := range list {
		byName[d.Name] = d
	}
	for _, d := range list {
		for _, a := range d.Attrs {
			if a.Name != "size" && a.Name != "count" {
				continue
			}
			switch {
			case a.Value == nil && c.Dialect == OpenEnclave: // reported with the attributes
			case a.Value == nil:
				c.fault(a.Pos, "`%s' needs a value: %s=…", a.Name, a.Name)
			case a.Value.Number:
				if _, err := strconv.ParseUint(a.Value.Text, 10, 63); err != nil {
					c.fault(a.Value.Pos, "%s is too large", a.Value.Text)
				}
			default:
				c.sizeName(a, byName[a.Value.Text], what, owner)
			}
		}
	}
}

// sizeName checks a size or count that names another declaration.
func (c *checker) sizeName(a Attr, of *Decl, what, owner string) {
	if of == nil {
		if _, constant := c.values[a.Value.Text]; constant && c.Dialect != OpenEnclave {
			return
		}
		c.fault(a.Value.Pos, "could not find declaration for `%s'.", a.Value.Text)
		return
	}
	t := of.Type
	composite := c.types[t.Base]
	switch {
	case t.Pointers > 0, len(of.Dims) > 0, t.Tag == "struct", t.Tag == "union",
		composite != nil && composite.Shape != EnumShape,
		t.Base == "float", t.Base == "double", t.Base == "long double", t.Base == "void":
		c.fault(a.Value.Pos, "size/count has invalid type.")
	case c.Dialect == OpenEnclave && signed[t.Base]:
		c.warn(a.Value.Pos, "%s `%s': The size or count parameter `%s' should not be signed", what, owner, of.Name)
	}
}

// signed are the types that Open Enclave warns of as sizes.
var signed = map[string]bool{
	"char": true, "short int": true, "int": true, "long int": true, "long long": true,
	"int8_t": true, "int16_t": true, "int32_t": true, "int64_t": true,
}

// deep reports whether a struct has pointers that are followed when it is
// copied.
func (t *Composite) deep() bool {
	if t == nil || t.Shape != StructShape {
		return false
	}
	for _, d := range t.Members {
		if d.sized() && (d.Type.Pointers > 0 || len(d.Dims) > 0) {
			return true
		}
	}
	return false
}

// allowed checks the ECALLs that OCALLs allow.
func (c *checker) allowed() {
	trusted := map[string]bool{}
	for _, f := range c.Trusted {
		trusted[f.Name] = true
	}
	allowed := map[string]bool{}
	faulty := len(*c.faults) > 0 // then functions may have been left out
	for _, f := range c.Untrusted {
		for _, n := range f.Allow {
			allowed[n.Text] = true
			if !trusted[n.Text] && !c.partial && !faulty {
				c.fault(n.Pos, "\"%s\" declared to allow unknown function \"%s\".", f.Name, n.Text)
			}
		}
	}
	for _, f := range c.Trusted {
		if !f.Public && !allowed[f.Name] {
			c.warn(f.Pos, "private ECALL `%s' is not used by any OCALL", f.Name)
		}
	}
}

// roots refuses an enclave that nobody can enter.
func (c *checker) roots() {
	for _, f := range c.Trusted {
		if f.Public {
			return
		}
	}
	if len(*c.faults) > 0 {
		return // the one that there is may have been left out
	}
	c.fault(token.Position{Filename: c.Path, Line: 1, Column: 1}, "the enclave `%s' contains no public root ECALL.", c.Name)
}

// trustZone applies what secGear refuses when it generates for TrustZone.
func (c *checker) trustZone() {
	refuse := func(pos token.Position, f *Function, what string) {
		c.fault(pos, "%s: Trustzone mode is not support '%s' feature", f.Name, what)
	}
	unchecked := func(f *Function) {
		for _, d := range f.Params {
			if a := d.attr("user_check"); a != nil {
				refuse(a.Pos, f, "user_check")
			}
		}
	}
	for _, f := range c.Trusted {
		if !f.Public {
			refuse(f.Pos, f, "private")
		}
		if f.Switchless {
			refuse(f.AtSwitch, f, "switchless")
		}
		unchecked(f)
	}
	for _, f := range c.Untrusted {
		unchecked(f)
		for _, a := range f.Attrs {
			if a.Name == "dllimport" {
				c.fault(a.Pos, "%s: Trustzone mode is not support dllimport", f.Name)
			} else {
				c.warn(a.Pos, "%s: Trustzone mode is not support Calling convention %s for ocalls", f.Name, a.Name)
			}
		}
		if len(f.Allow) > 0 {
			c.warn(f.AllowPos, "%s: Reentrant ocalls are not supported. Allow list ignored.", f.Name)
		}
	}
}
