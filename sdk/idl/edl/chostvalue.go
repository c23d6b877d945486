package edl

import "fmt"

// element is one of what d points to, or d itself, as C.
func elementType(d *Decl) Type {
	t := d.Type
	t.Const = false
	if t.Pointers > 0 && len(d.Dims) == 0 {
		t.Pointers--
	}
	return t
}

// paramC writes the encoding of a parameter, and the checks on one that is out.
func (w *cWriter) paramC(d *Decl, ref func(string) string) {
	pointer := d.Type.Pointers > 0 || len(d.Dims) > 0 || d.has("isptr") || d.has("isary")
	name := d.Name
	switch {
	case !pointer:
		w.putC(d, ref, false)
	case !d.directed() || d.has("user_check"):
		w.c("\tsg_put64(sg_w, (uint64_t)(uintptr_t)%s);", name)
	case d.has("string"):
		w.c("\tif (!%s) {\n\t\tsg_w->bad = 1;\n\t\treturn;\n\t}", name)
		w.c("\tsg_put_bytes(sg_w, %s, strlen((const char *)%s));", name, name)
	case d.has("wstring"):
		w.c("\tif (!%s) {\n\t\tsg_w->bad = 1;\n\t\treturn;\n\t}", name)
		w.c("\tsg_put32(sg_w, (uint32_t)wcslen(%s));\n\tfor (size_t sg_i = 0; %s[sg_i]; sg_i++)\n\t\tsg_put32(sg_w, (uint32_t)%s[sg_i]);", name, name, name)
	case d.has("in"):
		w.putC(d, ref, true)
	default:
		b := w.bufferC(d, ref, "&sg_w->bad")
		w.c("\tsg_need(&sg_w->bad, %s, %s);", name, b.count)
	}
}

// putC writes the encoding of a member, or of what a parameter leads to.
func (w *cWriter) putC(d *Decl, ref func(string) string, follow bool) {
	x := ref(d.Name)
	foreign := follow && (d.has("isptr") || d.has("isary"))
	if !foreign && !(follow && (w.isBuffer(d) || d.directed())) {
		t := d.Type
		t.Const = false
		for _, line := range w.putElem(t, x) {
			w.c("\t%s", line)
		}
		return
	}
	b := w.bufferC(d, ref, "&sg_w->bad")
	w.c("\t{\n\t\tuint64_t sg_n = %s;\n\t\tsg_need(&sg_w->bad, %s, sg_n);\n\t\tif (sg_w->bad)\n\t\t\treturn;", b.count, x)
	if b.prefixed {
		w.c("\t\tsg_put32(sg_w, (uint32_t)sg_n);")
	}
	switch {
	case b.raw:
		w.c("\t\tsg_put(sg_w, (const void *)%s, sg_n);", x)
	case foreign:
		size := w.foreignSize(d, x)
		w.c("\t\tfor (uint64_t sg_i = 0; sg_i < sg_n; sg_i++)\n\t\t\tsg_put_bytes(sg_w, (const unsigned char *)%s + sg_i * %s, %s);", x, size, size)
	default:
		t := elementType(d)
		w.c("\t\tfor (uint64_t sg_i = 0; sg_i < sg_n; sg_i++) {")
		for _, line := range w.putElem(t, w.flat(d, x, true)+"[sg_i]") {
			w.c("\t\t\t%s", line)
		}
		w.c("\t\t}")
	}
	w.c("\t}")
}

// foreignSize returns the size of what a foreign pointer or array type leads
// to.
func (w *cWriter) foreignSize(d *Decl, x string) string {
	w.undeclared(d)
	if d.has("isary") {
		return "sizeof(" + d.Type.Base + ")"
	}
	return "sizeof(*" + x + ")"
}

// flat returns x as a pointer to elements, whatever its dimensions.
func (w *cWriter) flat(d *Decl, x string, constant bool) string {
	t := elementType(d)
	if t.isVoid() {
		t.Base = "unsigned char"
	}
	if constant && t.Pointers == 0 {
		t.Const = true
	}
	return "((" + t.String() + " *)" + x + ")"
}

// undeclared reports a type that Go code declares: C does not know its
// encoding.
func (w *cWriter) undeclared(d *Decl) { w.undeclaredType(d.Type) }

func (w *cWriter) undeclaredType(t Type) {
	if w.declared[exported(t.Base)] {
		w.faults.Addf(t.Pos, "no C for %s: a Go type of this name says how it crosses", t)
	}
}

// putElem returns the statements that encode x of type t.
func (w *cWriter) putElem(t Type, x string) []string {
	one := func(format string, args ...any) []string { return []string{fmt.Sprintf(format, args...)} }
	if t.Pointers > 0 {
		return one("sg_put64(sg_w, (uint64_t)(uintptr_t)%s);", x)
	}
	if c := w.composite(t); c != nil {
		size, _ := w.layout(c)
		switch {
		case c.Shape == StructShape:
			return one("sg_put_struct_%s(sg_w, &%s);", c.Name, x)
		case c.Shape == UnionShape && size == 0:
			return one("sg_put_bytes(sg_w, &%s, sizeof(%s));", x, x)
		case c.Shape == UnionShape:
			return one("sg_put(sg_w, &%s, sizeof(%s));", x, x)
		}
		return one("sg_put32(sg_w, (uint32_t)%s);", x)
	}
	g, known := w.builtin(t)
	if !known {
		w.undeclaredType(t)
		if w.isCount(t) {
			return one("sg_put64(sg_w, (uint64_t)%s);", x)
		}
		return one("sg_put_bytes(sg_w, &%s, sizeof(%s));", x, x)
	}
	switch g.name {
	case "float32":
		return one("sg_put_float(sg_w, %s);", x)
	case "float64":
		return one("sg_put_double(sg_w, %s);", x)
	case "[16]byte":
		return one("sg_put(sg_w, &%s, sizeof(%s));", x, x)
	}
	return one("sg_put%d(sg_w, (uint%d_t)%s);", g.size*8, g.size*8, x)
}

// getElem returns the statements that decode into x of type t, which C spells
// so.
func (w *cWriter) getElem(t Type, x, spelling string, deep bool) []string {
	one := func(format string, args ...any) []string { return []string{fmt.Sprintf(format, args...)} }
	if t.Pointers > 0 {
		return one("%s = (%s)(uintptr_t)sg_get64(sg_r);", x, spelling)
	}
	if c := w.composite(t); c != nil {
		size, _ := w.layout(c)
		switch {
		case c.Shape == StructShape && !deep && w.followed(t):
			w.faults.Addf(t.Pos, "no C for %s that comes back alone: there is no memory for what it points to", t)
			return nil
		case c.Shape == StructShape:
			return one("sg_get_struct_%s(sg_r, &%s);", c.Name, x)
		case c.Shape == UnionShape && size == 0:
			return one("sg_get_bytes(sg_r, &%s, sizeof(%s));", x, x)
		case c.Shape == UnionShape:
			return one("sg_get(sg_r, &%s, sizeof(%s));", x, x)
		}
		return one("%s = (%s)sg_get32(sg_r);", x, spelling)
	}
	g, known := w.builtin(t)
	if w.isCount(t) {
		return one("%s = (%s)sg_get64(sg_r);", x, spelling)
	}
	if !known {
		return one("sg_get_bytes(sg_r, &%s, sizeof(%s));", x, x)
	}
	switch g.name {
	case "float32":
		return one("%s = sg_get_float(sg_r);", x)
	case "float64":
		return one("%s = sg_get_double(sg_r);", x)
	case "bool":
		return one("%s = sg_get_bool(sg_r);", x)
	case "[16]byte":
		return one("sg_get(sg_r, &%s, sizeof(%s));", x, x)
	}
	return one("%s = (%s)sg_get%d(sg_r);", x, spelling, g.size*8)
}

// getC writes the decoding of a member; the number of elements it has room for
// is in a variable.
func (w *cWriter) getC(d *Decl, ref func(string) string) {
	x := ref(d.Name)
	if !w.isBuffer(d) {
		t := d.Type
		t.Const = false
		for _, line := range w.getElem(t, x, d.Type.String(), true) {
			w.c("\t%s", line)
		}
		return
	}
	b := w.bufferC(d, ref, "&sg_r->bad")
	n := "sg_n_" + d.Name
	if b.prefixed {
		w.c("\t%s = sg_get_count(sg_r, %s);", n, n)
	}
	w.c("\tsg_need(&sg_r->bad, %s, %s);\n\tif (sg_r->bad)\n\t\treturn;", x, n)
	w.elementsC(d, x, n, b, true)
}

// elementsC writes the decoding of n elements to x.
func (w *cWriter) elementsC(d *Decl, x, n string, b bufferOfC, deep bool) {
	foreign := d.has("isptr") || d.has("isary")
	switch {
	case b.raw:
		w.c("\tsg_get(sg_r, (void *)%s, %s);", x, n)
	case foreign:
		size := w.foreignSize(d, x)
		w.c("\tfor (uint64_t sg_i = 0; sg_i < %s; sg_i++)\n\t\tsg_get_bytes(sg_r, (unsigned char *)%s + sg_i * %s, %s);", n, x, size, size)
	default:
		t := elementType(d)
		spelling := t
		if t.isVoid() {
			spelling.Base = "unsigned char"
		}
		w.c("\tfor (uint64_t sg_i = 0; sg_i < %s; sg_i++) {", n)
		for _, line := range w.getElem(t, w.flat(d, x, false)+"[sg_i]", spelling.String(), deep) {
			w.c("\t\t%s", line)
		}
		w.c("\t}")
	}
}

// resultC writes the decoding of a parameter that comes back.
func (w *cWriter) resultC(f *Function, d *Decl, ref func(string) string) {
	if !d.has("out") || d.has("user_check") {
		return
	}
	name := d.Name
	switch {
	case d.has("string"):
		w.c("\t{\n\t\tuint64_t sg_n = sg_get_count(sg_r, strlen((const char *)%s));\n\t\tsg_get(sg_r, %s, sg_n);\n\t\tif (memchr(%s, 0, sg_n))\n\t\t\tsg_r->bad = 1;\n\t\t%s[sg_n] = 0;\n\t}", name, name, name, name)
		return
	case d.has("wstring"):
		w.c("\t{\n\t\tuint64_t sg_n = sg_get_count(sg_r, wcslen(%s));\n\t\tfor (uint64_t sg_i = 0; sg_i < sg_n; sg_i++)\n\t\t\tif (!(%s[sg_i] = (wchar_t)sg_get32(sg_r)))\n\t\t\t\tsg_r->bad = 1;\n\t\t%s[sg_n] = 0;\n\t}", name, name, name)
		return
	}
	b := w.bufferC(d, ref, "&sg_r->bad")
	w.c("\tuint64_t sg_n_%s = %s, sg_all_%s = sg_n_%s;", name, b.count, name, name)
	if b.prefixed {
		w.c("\tsg_n_%s = sg_get_count(sg_r, sg_n_%s);", name, name)
	}
	w.elementsC(d, name, "sg_n_"+name, b, d.has("in"))
	if b.prefixed { // what the enclave did not fill must not stay as it was
		size := "sizeof(*" + w.flat(d, name, false) + ")"
		switch {
		case b.raw:
			size = "1"
		case d.has("isptr"):
			size = w.foreignSize(d, name)
		}
		w.c("\tif (sg_n_%s < sg_all_%s)\n\t\tmemset((unsigned char *)%s + sg_n_%s * %s, 0, (sg_all_%s - sg_n_%s) * %s);", name, name, name, name, size, name, name, size)
	} else {
		w.c("\t(void)sg_all_%s;", name)
	}
}
