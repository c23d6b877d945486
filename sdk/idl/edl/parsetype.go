package edl

// composite parses a struct or union.
func (p *parser) composite() {
	word := p.next()
	c := &Composite{Pos: p.at.pos, Shape: StructShape}
	if word.is("union") {
		c.Shape = UnionShape
	}
	c.Name = p.name(word.text + " name").Text
	p.expect("{")
	if p.at.is("}") && p.dialect != OpenEnclave {
		p.unexpected(p.at, "a member")
	}
	p.each(func() {
		d := p.decl("identifier")
		if !p.at.is("}") || p.dialect != OpenEnclave {
			p.expect(";")
		}
		c.Members = append(c.Members, d)
	})
	p.expect("}")
	p.expect(";")
	p.file.Types = append(p.file.Types, c)
}

// enum parses an enum, which may be without a name.
func (p *parser) enum() {
	p.next()
	c := &Composite{Pos: p.at.pos, Shape: EnumShape}
	if !p.at.is("{") {
		c.Name = p.name("enum name").Text
	}
	p.expect("{")
	for !p.at.is("}") {
		v := EnumValue{Name: p.name("identifier")}
		if p.accept("=") {
			v.Value = p.value("enum value")
		}
		c.Values = append(c.Values, v)
		if p.at.is("}") || !p.comma("}") {
			break
		}
	}
	p.expect("}")
	p.expect(";")
	p.file.Types = append(p.file.Types, c)
}

// decl parses a parameter or member.
func (p *parser) decl(what string) *Decl {
	d := &Decl{Start: p.at.pos}
	if p.at.is("[") {
		d.HasAttrs, d.Attrs = true, p.attrs()
	}
	d.Type = p.typ()
	n := p.name(what)
	d.Pos, d.Name = n.Pos, n.Text
	d.Dims = p.dims()
	return d
}

// attrs parses the attributes in brackets.
func (p *parser) attrs() []Attr {
	var out []Attr
	open := p.next()
	if p.at.is("]") {
		p.fail(open, "no attribute specified.")
	}
	for {
		n := p.at
		if n.kind != kindName || p.dialect != OpenEnclave && reserved[n.text] {
			p.unexpected(n, "an attribute")
		}
		p.next()
		a := Attr{Pos: n.pos, Name: n.text}
		if p.accept("=") {
			a.Value = p.value("integer")
		}
		out = append(out, a)
		if p.at.is("]") || !p.comma("]") {
			break
		}
	}
	p.expect("]")
	return out
}

// dims parses the dimensions of an array.
func (p *parser) dims() []Dim {
	var out []Dim
	for p.at.is("[") {
		open := p.next()
		d := Dim{Pos: open.pos}
		if !p.at.is("]") {
			d.Value = p.value("array dimension")
		}
		p.expect("]")
		out = append(out, d)
	}
	return out
}

// typ parses a type and the stars after it.
func (p *parser) typ() Type {
	t := Type{Pos: p.at.pos}
	if p.at.is("const") {
		t.Const = true
		p.next()
	}
	p.base(&t)
	for p.accept("*") {
		t.Pointers++
	}
	if t.Const && t.Pointers == 0 && p.dialect != OpenEnclave {
		p.unexpected(p.at, "* after a const type")
	}
	return t
}

// basicTypes are the types of one word but for those that others can follow.
var basicTypes = map[string]bool{
	"float": true, "double": true, "void": true, "wchar_t": true, "size_t": true,
	"int8_t": true, "int16_t": true, "int32_t": true, "int64_t": true,
	"uint8_t": true, "uint16_t": true, "uint32_t": true, "uint64_t": true,
}

// base parses the type itself.
func (p *parser) base(t *Type) {
	l := p.at
	switch {
	case l.is("struct"), l.is("union"), l.is("enum"):
		p.next()
		t.Tag, t.Base = l.text, p.name(l.text+" name").Text
	case l.is("unsigned"):
		p.next()
		if t.Base = p.integer(); t.Base == "" {
			t.Base = "int"
		}
		if t.Base == "long double" {
			p.fail(l, "invalid double following unsigned")
		}
		t.Base = "unsigned " + t.Base
	case l.kind == kindName && basicTypes[l.text], l.is("bool") && p.dialect == OpenEnclave:
		p.next()
		t.Base = l.text
	default:
		if t.Base = p.integer(); t.Base != "" {
			return
		}
		if l.kind != kindName || p.dialect != OpenEnclave && reserved[l.text] {
			p.unexpected(l, "typename")
		}
		p.next()
		t.Base, t.Foreign = l.text, true
	}
}

// integer parses what can follow unsigned, or stands for itself.
func (p *parser) integer() string {
	switch {
	case p.accept("char"):
		if p.dialect == OpenEnclave {
			p.accept("int")
		}
		return "char"
	case p.accept("short"):
		p.accept("int")
		return "short int"
	case p.accept("int"):
		return "int"
	case p.accept("long"):
		switch {
		case p.accept("long"):
			p.accept("int")
			return "long long"
		case p.accept("double"):
			return "long double"
		}
		p.accept("int")
		return "long int"
	}
	return ""
}
