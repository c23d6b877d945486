package edl

import "go/token"

// The rules of Open Enclave's oeedger8r.

var openEnclaveAttrs = map[string]bool{
	"in": true, "out": true, "count": true, "size": true, "isptr": true, "isary": true,
	"string": true, "wstring": true, "user_check": true,
}

// openEnclaveKnown checks the names and values of attributes.
func (c *checker) openEnclaveKnown(d *Decl, member bool) bool {
	seen := map[string]bool{}
	for _, a := range d.Attrs {
		value := a.Name == "count" || a.Name == "size"
		switch {
		case a.Name == "sizefunc":
			c.fault(a.Pos, "The attribute 'sizefunc' is deprecated. Please use 'size' attribute instead.")
		case !openEnclaveAttrs[a.Name]:
			c.fault(a.Pos, "unknown attribute: `%s'", a.Name)
		case member && !value:
			c.fault(a.Pos, "only `count' and `size' attributes can be specified for struct properties")
		case seen[a.Name]:
			c.fault(a.Pos, "duplicated attribute: `%s'", a.Name)
		case value == (a.Value == nil):
			c.fault(a.Pos, "expecting %s after `%s'", map[bool]string{true: "=", false: ","}[value], a.Name)
		default:
			seen[a.Name] = true
			continue
		}
		return false
	}
	return true
}

func (c *checker) openEnclaveDims(d *Decl) bool {
	for _, dim := range d.Dims {
		if dim.Value == nil {
			c.fault(dim.Pos, "expecting array dimension, got ]")
			return false
		}
	}
	return true
}

func (c *checker) openEnclaveMember(t *Composite, d *Decl) {
	if t.Shape == UnionShape && d.HasAttrs {
		c.fault(d.Start, "attributes are not allowed for unions")
		return
	}
	if !c.openEnclaveDims(d) || !c.openEnclaveKnown(d, true) {
		return
	}
	if t.Shape == StructShape && d.Type.Pointers > 0 && !d.sized() {
		c.warn(d.Pos, "struct `%s': The member `%s' is a pointer that is not serializable. Consider annotating the member with the `count' or `size' attribute", t.Name, d.Name)
	}
	c.openEnclaveAttributes(d, true)
}

func (c *checker) openEnclaveParam(f *Function, d *Decl) {
	if !c.openEnclaveDims(d) || !c.openEnclaveKnown(d, false) {
		return
	}
	if d.has("size") && d.has("count") {
		c.fault(d.attr("count").Pos, "Function `%s': simultaneous `size' and `count' parameters `size' and `count' are not supported by oeedger8r.", f.Name)
	}
	c.openEnclaveAttributes(d, false)
	c.openEnclavePointer(f, d)
	t := c.types[d.Type.Base]
	if d.Type.Pointers == 0 && (d.Type.Foreign || d.Type.Tag == "struct") && t.deep() {
		c.fault(d.Type.Pos, "the structure declaration `%s' specifies a deep copy is expected. Referenced by value in function `%s' detected.", t.Name, f.Name)
	}
}

// openEnclavePointer warns of pointers that do not cross as they should.
func (c *checker) openEnclavePointer(f *Function, d *Decl) {
	if d.Type.Pointers == 0 || d.has("user_check") {
		return
	}
	if !d.HasAttrs {
		c.warn(d.Pos, "Function `%s': `%s' is a pointer that is not serializable. Consider annotating the parameter with the direction annotation", f.Name, d.Name)
	}
	if d.Type.Pointers == 1 && (d.Type.Foreign || d.Type.Tag == "struct") && c.types[d.Type.Base] == nil {
		c.warn(d.Pos, "Function `%s': `%s' is a pointer of a foreign type `%s' that may not be serializable. Consider defining the type in the EDL file with proper annotations", f.Name, d.Name, d.Type.Base)
	}
}

// openEnclaveAttributes checks how the attributes of d go together.
func (c *checker) openEnclaveAttributes(d *Decl, member bool) {
	for _, a := range d.Attrs {
		var fault string
		switch a.Name {
		case "string", "wstring":
			fault = openEnclaveText(a.Name, d)
		case "isary", "isptr":
			fault = openEnclaveForeign(a.Name, d)
		case "count", "size":
			if !member && !d.directed() {
				fault = "size/count attributes must be used with pointer direction"
			} else {
				fault = openEnclavePlain(a.Name, d)
			}
		case "in", "out":
			fault = c.openEnclaveDirection(a.Name, d)
		case "user_check":
			fault = openEnclaveUnchecked(d)
		}
		if fault != "" {
			c.fault(a.Pos, "%s", fault)
		}
	}
}

func openEnclaveText(name string, d *Decl) string {
	pointer := d.Type.Pointers == 1
	switch {
	case d.has("out") && !d.has("in"):
		return "string/wstring attribute should be used with an `in' attribute"
	case !d.directed():
		return "string/wstring attributes must be used with pointer direction"
	case d.sized():
		return "size attributes are mutually exclusive with (w)string attribute"
	case d.has("string") && d.has("wstring"):
		return "`string' and `wstring' are mutually exclusive"
	case name == "string" && !(pointer && d.Type.Base == "char"):
		return "invalid `string' attribute - `" + d.Name + "' is not char pointer"
	case name == "wstring" && !(pointer && d.Type.Base == "wchar_t"):
		return "invalid `wstring' attribute - `" + d.Name + "' is not wchar_t pointer"
	}
	return ""
}

func openEnclaveForeign(name string, d *Decl) string {
	switch {
	case d.has("isary") && d.has("isptr"):
		return "`isary' cannot be used with `isptr' together"
	case !d.directed() && !d.has("user_check"):
		return "`" + name + "' should have direction attribute or `user_check'"
	case !d.Type.Foreign || d.Type.Pointers > 0 || d.Type.Const:
		return "`" + name + "' attribute is only valid for user defined type, not for `" + d.Type.String() + "'"
	case name == "isptr" && len(d.Dims) > 0:
		return "invalid parameter - `" + d.Name + "' is a pointer array"
	}
	return ""
}

// openEnclavePlain reports an attribute of pointers on what is none.
func openEnclavePlain(name string, d *Decl) string {
	switch {
	case d.Type.Pointers > 0 || len(d.Dims) > 0 || d.has("isptr") || d.has("isary"):
		return ""
	case d.Type.Foreign && !d.Type.Const:
		return "`" + name + "' is invalid for plain type `" + d.Type.String() + "'"
	}
	return "unexpected pointer attributes for `" + d.Type.String() + "'"
}

func (c *checker) openEnclaveDirection(name string, d *Decl) string {
	if fault := openEnclavePlain(name, d); fault != "" {
		return fault
	}
	t := c.types[d.Type.Base]
	switch {
	case d.Type.Pointers == 1 && t.deep() && d.has("size"):
		return "size attributes are invalid for the pointer of an user-defined type `" + t.Name + "'"
	case d.Type.Pointers > 0 && len(d.Dims) > 0:
		return "invalid parameter - `" + d.Name + "' is a pointer array"
	}
	return ""
}

func openEnclaveUnchecked(d *Decl) string {
	switch {
	case d.directed():
		return "pointer direction and `user_check' are mutually exclusive"
	case d.Type.Pointers == 0 && len(d.Dims) == 0 && !d.has("isptr") && !d.has("isary"):
		return "`user_check' attribute is invalid for plain type `" + d.Type.String() + "'"
	}
	return ""
}

// openEnclaveFunction checks the rest of a function.
func (c *checker) openEnclaveFunction(f *Function, trusted bool) {
	if trusted && !f.Public {
		c.fault(f.Pos, "Function `%s': `private' specifier is not supported by oeedger8r", f.Name)
	}
	if len(f.Allow) > 0 {
		c.warn(f.AllowPos, "Function `%s': the `allow' syntax is currently unsupported. Ignored", f.Name)
	}
	if f.Return.Pointers > 0 {
		c.warn(f.Return.Pos, "Function `%s': The function returns a pointer, which could expose memory addresses across the host-enclave boundary. Consider passing the pointer as an out parameter instead", f.Name)
	}
	for _, d := range f.Params {
		c.portable(f, d.Type.Pos, d.Type.Base)
	}
}

// portable warns of types whose size is not the same everywhere.
func (c *checker) portable(f *Function, pos token.Position, base string) {
	names := map[string]string{"wchar_t": "wchar_t", "long double": "long double", "long int": "long", "unsigned long int": "unsigned long"}
	if name := names[base]; name != "" {
		c.warn(pos, "Function `%s': `%s' has different sizes on Windows and Linux", f.Name, name)
	}
}
