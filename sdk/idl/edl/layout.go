package edl

import "strconv"

// goType is what a C type is in Go, and what it takes in C.
type goType struct {
	name  string // Go expression
	size  int64  // sizeof in C where long and pointers have 8 bytes; 0 if not known
	align int64
}

func scalar(name string, size int64) goType { return goType{name, size, size} }

// address is what crosses for a pointer that nobody follows.
var address = scalar("uint64", 8)

// basics are the basic types of EDL.
var basics = map[string]goType{
	"char": scalar("byte", 1), "unsigned char": scalar("byte", 1),
	"short int": scalar("int16", 2), "unsigned short int": scalar("uint16", 2),
	"int": scalar("int32", 4), "unsigned int": scalar("uint32", 4),
	"long int": scalar("int64", 8), "unsigned long int": scalar("uint64", 8),
	"long long": scalar("int64", 8), "unsigned long long": scalar("uint64", 8),
	"float": scalar("float32", 4), "double": scalar("float64", 8), "long double": scalar("[16]byte", 16),
	"int8_t": scalar("int8", 1), "int16_t": scalar("int16", 2), "int32_t": scalar("int32", 4), "int64_t": scalar("int64", 8),
	"uint8_t": scalar("byte", 1), "uint16_t": scalar("uint16", 2), "uint32_t": scalar("uint32", 4), "uint64_t": scalar("uint64", 8),
	"size_t": scalar("uint64", 8), "wchar_t": scalar("rune", 4), "bool": scalar("bool", 1), "void": scalar("byte", 1),
}

// wellKnown are the types of C headers that need no declaration: those of the
// standard library and POSIX on Linux, and the results of the three SDKs.
var wellKnown = map[string]goType{
	"bool": scalar("bool", 1), "_Bool": scalar("bool", 1),
	"ssize_t": scalar("int64", 8), "ptrdiff_t": scalar("int64", 8), "intptr_t": scalar("int64", 8), "uintptr_t": scalar("uint64", 8),
	"intmax_t": scalar("int64", 8), "uintmax_t": scalar("uint64", 8), "wint_t": scalar("uint32", 4),
	"off_t": scalar("int64", 8), "off64_t": scalar("int64", 8), "time_t": scalar("int64", 8), "clock_t": scalar("int64", 8),
	"pid_t": scalar("int32", 4), "uid_t": scalar("uint32", 4), "gid_t": scalar("uint32", 4), "mode_t": scalar("uint32", 4),
	"socklen_t": scalar("uint32", 4), "errno_t": scalar("int32", 4), "clockid_t": scalar("int32", 4), "nfds_t": scalar("uint64", 8),
	"uint": scalar("uint32", 4), "ulong": scalar("uint64", 8), "ushort": scalar("uint16", 2), "uchar": scalar("byte", 1),
	"u_int8_t": scalar("byte", 1), "u_int16_t": scalar("uint16", 2), "u_int32_t": scalar("uint32", 4), "u_int64_t": scalar("uint64", 8),
	"char16_t": scalar("uint16", 2), "char32_t": scalar("uint32", 4),
	"sgx_status_t": scalar("uint32", 4), "oe_result_t": scalar("uint32", 4), "cc_enclave_result_t": scalar("uint32", 4),
	"sgx_enclave_id_t": scalar("uint64", 8),
}

// baseType returns the Go type of t's base, without pointers.
func (w *writer) baseType(t Type) goType {
	if c := w.composite(t); c != nil {
		size, align := w.layout(c)
		return goType{w.types[c], size, align}
	}
	if b, ok := w.builtin(t); ok {
		return b
	}
	return goType{name: w.opaque(t)}
}

// builtin returns the Go type of a basic or well-known type.
func (w *writer) builtin(t Type) (goType, bool) {
	if t.Tag != "" {
		return goType{}, false
	}
	if !t.Foreign {
		return basics[t.Base], true
	}
	b, ok := wellKnown[t.Base]
	return b, ok && !w.declared[exported(t.Base)]
}

// isCount reports whether t is a type of C headers that EDL counts with.
func (w *writer) isCount(t Type) bool { return t.Tag == "" && t.Foreign && w.counts[t.Base] }

// isOpaque reports whether only C headers, or the package itself, declare t's
// base.
func (w *writer) isOpaque(t Type) bool {
	_, builtin := w.builtin(t)
	return !builtin && w.composite(t) == nil
}

// composite returns the declaration that t refers to, or nil: one without a tag
// may refer to any.
func (w *writer) composite(t Type) *Composite {
	c := w.e.types[t.Base]
	if c == nil || t.Tag == "" && !t.Foreign || t.Tag != "" && t.Tag != c.Shape.String() {
		return nil
	}
	return c
}

// memberType returns the Go type of a member or array, as C lays it out.
func (w *writer) memberType(t Type, dims []Dim) goType {
	g := w.baseType(t)
	if t.Pointers > 0 {
		g = address
	}
	for i := len(dims) - 1; i >= 0; i-- {
		n, ok := w.dim(dims[i])
		if !ok {
			g.name, g.size = "[]"+g.name, 0
			continue
		}
		g.name = "[" + strconv.FormatInt(n, 10) + "]" + g.name
		g.size = saturated(g.size, n)
	}
	return g
}

// dim returns the value of a dimension. C headers may define one that is not
// known here.
func (w *writer) dim(d Dim) (int64, bool) {
	if d.Value == nil {
		return 0, false
	}
	return w.number(d.Value)
}

func (w *writer) number(v *Value) (int64, bool) {
	if !v.Number {
		n, ok := w.e.values[v.Text]
		return n, ok
	}
	n, err := strconv.ParseInt(v.Text, 10, 64)
	return n, err == nil
}

// maxSize is where sizes stop: more than crosses at once.
const maxSize = 1 << 40

func saturated(a, b int64) int64 {
	if a != 0 && b > maxSize/a {
		return maxSize
	}
	return a * b
}

// layout returns what a composite takes in C.
func (w *writer) layout(c *Composite) (size, align int64) {
	if c.Shape == EnumShape {
		return 4, 4
	}
	if known, ok := w.layouts[c]; ok {
		return known[0], known[1]
	}
	w.layouts[c] = [2]int64{} // of unknown size, if it contains itself
	align = 1
	known := true
	for _, d := range c.Members {
		g := w.memberType(d.Type, d.Dims)
		known = known && g.size > 0 && g.size < maxSize
		align = max(align, g.align)
		if c.Shape == UnionShape {
			size = max(size, g.size)
		} else if g.align > 0 {
			size = roundUp(size, g.align) + g.size
		}
	}
	if !known || size >= maxSize {
		return 0, 0
	}
	size = roundUp(size, align)
	w.layouts[c] = [2]int64{size, align}
	return size, align
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }
