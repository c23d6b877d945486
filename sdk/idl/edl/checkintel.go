package edl

import "strings"

// The rules of Intel's edger8r, which secGear shares.

// intelAttrs are its attributes of parameters and members.
var intelAttrs = map[string]bool{
	"size": true, "count": true, "string": true, "wstring": true, "isptr": true, "isary": true,
	"readonly": true, "user_check": true, "in": true, "out": true,
}

// intelKnown checks the names of attributes.
func (c *checker) intelKnown(d *Decl) bool {
	ok := true
	seen := map[string]bool{}
	for _, a := range d.Attrs {
		switch {
		case a.Name == "sizefunc":
			c.fault(a.Pos, "The attribute 'sizefunc' is deprecated. Please use 'size' attribute instead.")
			ok = false
		case !intelAttrs[a.Name]:
			c.fault(a.Pos, "unknown attribute: %s", a.Name)
			ok = false
		case seen[a.Name] && (a.Name == "in" || a.Name == "out"):
			c.fault(a.Pos, "duplicated attribute: `%s'", a.Name)
			ok = false
		}
		seen[a.Name] = true
	}
	return ok
}

// intelDims checks the dimensions of an array.
func (c *checker) intelDims(d *Decl) bool {
	for _, dim := range d.Dims {
		switch {
		case dim.Value == nil:
			c.fault(dim.Pos, "Flexible array is not supported.")
			return false
		case !dim.Value.Number:
			if _, known := c.values[dim.Value.Text]; !known {
				c.fault(dim.Value.Pos, "unexpected token: %s (expecting a number)", dim.Value.Text)
				return false
			}
		case strings.Trim(dim.Value.Text, "0") == "":
			c.fault(dim.Value.Pos, "Zero-length array is not supported.")
			return false
		}
	}
	return true
}

// intelMember checks a member of a struct or union.
func (c *checker) intelMember(t *Composite, d *Decl) {
	if t.Shape == UnionShape && d.HasAttrs {
		c.fault(d.Start, "unexpected token: [ (members of a union have no attributes)")
		return
	}
	if d.Type.Const {
		c.fault(d.Type.Pos, "unexpected token: const (members have no const)")
	}
	if d.Type.isVoid() && len(d.Dims) == 0 {
		if t.Shape == UnionShape {
			c.fault(d.Pos, "union member `%s' has `void' type.", d.Name)
		} else {
			c.fault(d.Pos, "parameter `%s' has `void' type.", d.Name)
		}
		return
	}
	if !c.intelDims(d) || !d.HasAttrs || !c.intelKnown(d) {
		return
	}
	for _, a := range d.Attrs {
		switch a.Name {
		case "in", "out":
			c.fault(a.Pos, "direction attribute is not allowed for structure member.")
			return
		case "isptr", "isary", "readonly", "string", "wstring":
			c.fault(a.Pos, "'%s' attribute is not allowed for structure member.", a.Name)
			return
		}
	}
	switch {
	case !d.sized():
		c.fault(d.Start, "size/count attributes must be used")
	case d.Type.Pointers == 0 && len(d.Dims) == 0:
		c.intelPlain(d)
	}
}

// intelPlain reports attributes of pointers on what is none.
func (c *checker) intelPlain(d *Decl) {
	if d.Type.Foreign {
		c.fault(d.Attrs[0].Pos, "`%s' is considered plain type but decorated with pointer attributes", d.Type.Base)
		return
	}
	c.fault(d.Attrs[0].Pos, "unexpected pointer attributes for `%s'", d.Type)
}

// intelParam checks a parameter.
func (c *checker) intelParam(f *Function, d *Decl) {
	if d.Type.isVoid() && len(d.Dims) == 0 {
		c.fault(d.Pos, "parameter `%s' has `void' type.", d.Name)
		return
	}
	address := d.Type.Pointers > 0 || len(d.Dims) > 0
	if !c.intelDims(d) || !c.intelKnown(d) || !d.HasAttrs && !address {
		return
	}
	if !c.intelUserType(d) {
		return
	}
	if !address && !d.has("isptr") && !d.has("isary") {
		c.intelPlain(d)
		return
	}
	if d.has("isary") {
		if !c.intelArray(d) {
			return
		}
	} else if !c.intelDirection(d) {
		return
	}
	c.intelPointer(f, d)
}

// intelUserType checks the attributes that only user-defined types may have.
func (c *checker) intelUserType(d *Decl) bool {
	bare := d.Type.Foreign && d.Type.Pointers == 0
	for _, a := range d.Attrs {
		switch {
		case (a.Name == "isptr" || a.Name == "isary") && !bare && !d.Type.Const:
			c.fault(a.Pos, "'%s' attributes are only for user defined type, not for `%s'.", a.Name, d.Type)
			return false
		case a.Name == "readonly" && !d.Type.Foreign:
			c.fault(a.Pos, "'readonly' attributes are only for user defined type, not for `%s'.", d.Type)
			return false
		case a.Name == "readonly" && !d.has("isptr"):
			c.fault(a.Pos, "'readonly' attribute is only used with 'isptr' attribute.")
			return false
		}
	}
	return true
}

// intelArray checks a foreign type that is an array.
func (c *checker) intelArray(d *Decl) bool {
	at := d.attr("isary").Pos
	switch {
	case d.sized():
		c.fault(at, "Pointer size attributes cannot be used with foreign array")
	case d.has("string") || d.has("wstring"):
		c.fault(at, "`isary' cannot be used with `string/wstring' together")
	case d.has("isptr"):
		c.fault(at, "`isary' cannot be used with `isptr' together")
	case !d.directed() && !d.has("user_check"):
		c.fault(at, "array must have direction attribute or `user_check'")
	default:
		return true
	}
	return false
}

// intelDirection checks how attributes of a pointer go together.
func (c *checker) intelDirection(d *Decl) bool {
	at := d.Start
	if len(d.Attrs) > 0 {
		at = d.Attrs[0].Pos
	}
	text := d.has("string") || d.has("wstring")
	switch {
	case d.has("string") && d.has("wstring"):
		c.fault(at, "`string' and `wstring' are mutual exclusive")
	case d.sized() && text:
		c.fault(at, "size attributes are mutual exclusive with (w)string attribute")
	case (d.sized() || text) && !d.directed():
		c.fault(at, "size/string attributes must be used with pointer direction")
	case d.directed() && d.has("user_check"):
		c.fault(at, "pointer direction and `user_check' are mutual exclusive")
	case !d.directed() && !d.has("user_check"):
		c.fault(at, "pointer/array should have direction attribute or `user_check'")
	case text && !d.has("in"):
		c.fault(at, "string/wstring should be used with an `in' attribute")
	default:
		return true
	}
	return false
}

// intelPointer checks what is left of a pointer or array.
func (c *checker) intelPointer(f *Function, d *Decl) {
	t := d.Type
	array := len(d.Dims) > 0
	pointer := t.Pointers > 0 || d.has("isptr")
	switch {
	case t.Base == "void" && t.Pointers == 1 && !array:
		if !d.has("user_check") && !d.has("size") {
			c.fault(d.Pos, "`%s': void pointer `%s' - buffer size unknown", f.Name, d.Name)
		}
		if (t.Const || d.has("readonly")) && d.has("out") {
			c.fault(d.attr("out").Pos, "`%s': `%s' is readonly - cannot be used with `out'", f.Name, d.Name)
		}
	case (array || d.has("isary")) && pointer:
		c.fault(d.Pos, "`%s': Pointer array not allowed - `%s' is a pointer array.", f.Name, d.Name)
	case (t.Const || d.has("readonly")) && d.has("out"):
		c.fault(d.attr("out").Pos, "`%s': `%s' is readonly - cannot be used with `out'", f.Name, d.Name)
	case d.has("string") && !(t.Pointers == 1 && (t.Base == "char" || t.Base == "unsigned char")):
		c.fault(d.attr("string").Pos, "`%s': invalid 'string' attribute - `%s' is not char pointer.", f.Name, d.Name)
	case d.has("wstring") && !(t.Pointers == 1 && t.Base == "wchar_t"):
		c.fault(d.attr("wstring").Pos, "`%s': invalid 'wstring' attribute - `%s' is not wchar_t pointer.", f.Name, d.Name)
	case array:
		for _, name := range []string{"size", "count", "isary"} {
			if a := d.attr(name); a != nil {
				c.fault(a.Pos, "`%s': invalid '%s' attribute - `%s' is explicitly declared array.", f.Name, name, d.Name)
				return
			}
		}
	}
}

// intelFunction checks a function's own attributes, and structs that it takes.
func (c *checker) intelFunction(f *Function) {
	convention := ""
	imported := false
	for _, a := range f.Attrs {
		switch a.Name {
		case "cdecl", "stdcall", "fastcall":
			if convention != "" {
				c.fault(a.Pos, "unexpected `%s',  conflict with `%s'.", a.Name, strings.ToUpper(convention))
			}
			convention = a.Name
		case "dllimport":
			if imported {
				c.fault(a.Pos, "duplicated attribute: `dllimport'")
			}
			imported = true
		default:
			c.fault(a.Pos, "invalid function attribute: %s", a.Name)
		}
	}
	for _, d := range f.Params {
		c.intelStruct(f, d)
	}
}

// intelStruct checks the use of a struct that the EDL declares.
func (c *checker) intelStruct(f *Function, d *Decl) {
	s := c.types[d.Type.Base]
	if s == nil || s.Shape != StructShape {
		return
	}
	switch {
	case d.Type.Foreign && s.deep():
		c.fault(d.Type.Pos, "`%s' in function `%s' is a structure and it specifies a deep copy. Use `struct %s' instead.", s.Name, f.Name, s.Name)
	case d.Type.Foreign:
		c.warn(d.Type.Pos, "`%s' in function `%s' is a structure. Use `struct %s' instead.", s.Name, f.Name, s.Name)
	case d.Type.Tag != "struct" || len(d.Dims) > 0:
	case d.Type.Pointers == 0 && s.deep():
		c.fault(d.Type.Pos, "the structure declaration \"%s\" specifies a deep copy is expected. Referenced by value in function \"%s\" detected.", s.Name, f.Name)
	case d.Type.Pointers == 0 && s.pointers():
		c.warn(d.Type.Pos, "the structure \"%s\" is referenced by value in function \"%s\". Part of the data may not be copied.", s.Name, f.Name)
	case d.Type.Pointers == 1 && s.deep() && d.has("out") && !d.has("in"):
		c.fault(d.attr("out").Pos, "the structure declaration \"%s\" specifies a deep copy, should not be used with an `out' attribute in function \"%s\".", s.Name, f.Name)
	}
}

// pointers reports whether the struct has a pointer.
func (t *Composite) pointers() bool {
	for _, d := range t.Members {
		if d.Type.Pointers > 0 {
			return true
		}
	}
	return false
}
