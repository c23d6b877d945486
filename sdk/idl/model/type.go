package model

import (
	"go/token"
	"math"
	"strconv"
)

// Kind is how a type's values look on the wire.
type Kind uint8

// The kinds. Package call describes the encoding of each.
const (
	Refused Kind = iota // a reader has reported it already
	Bool
	Int
	Int8
	Int16
	Int32
	Int64
	Uint
	Uint8
	Uint16
	Uint32
	Uint64
	Float32
	Float64
	String
	Bytes    // []byte
	Time     // time.Time
	Duration // time.Duration
	Buffer   // shm.Buffer
	Struct   // Fields
	Pointer  // Elem, a struct; may be nil
	Slice    // Elem
	Array    // Len times Elem
	Map      // Key to Elem
)

var kindNames = [...]string{
	"refused", "bool", "int", "int8", "int16", "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64",
	"float32", "float64", "string", "[]byte", "time.Time", "time.Duration", "shm.Buffer",
	"struct", "pointer", "slice", "array", "map",
}

// String returns the Go type of a simple kind, or a word for a composite one.
func (k Kind) String() string { return kindNames[k] }

// Type is the type of a value. A named type has one Type however often it is
// used, so that types may be compared by address and a recursive one is a
// cycle.
type Type struct {
	Kind   Kind
	Name   string         // declared in the contract's package, or ""; a struct has one, but for struct{}
	Pos    token.Position // of the declaration, or of the first use
	Elem   *Type
	Key    *Type
	Len    int64
	Fields []Field
	Checks []Demand // of a struct
}

// Field is a field of a struct.
type Field struct {
	Pos  token.Position
	Name string
	Type *Type
}

// String returns the type as its author would write it.
func (t *Type) String() string {
	switch {
	case t.Name != "":
		return t.Name
	case t.Kind == Pointer:
		return "*" + t.Elem.String()
	case t.Kind == Slice:
		return "[]" + t.Elem.String()
	case t.IsRaw():
		return "[" + strconv.FormatInt(t.Len, 10) + "]byte"
	case t.Kind == Array:
		return "[" + strconv.FormatInt(t.Len, 10) + "]" + t.Elem.String()
	case t.Kind == Map:
		return "map[" + t.Key.String() + "]" + t.Elem.String()
	case t.Kind == Struct:
		return "struct{}"
	}
	return t.Kind.String()
}

// IsRaw reports whether t is an array of plain bytes.
func (t *Type) IsRaw() bool {
	return t.Kind == Array && t.Elem.Kind == Uint8 && t.Elem.Name == ""
}

// wireSizes are the sizes in bytes of kinds whose size is fixed. That of
// Refused keeps one fault from causing others.
var wireSizes = map[Kind]int64{
	Refused: 1,
	Bool:    1, Int: 8, Int8: 1, Int16: 2, Int32: 4, Int64: 8, Uint: 8, Uint8: 1, Uint16: 2, Uint32: 4, Uint64: 8,
	Float32: 4, Float64: 8, Time: 12, Duration: 8, Buffer: 16,
}

// Size is what is known of the encoded size of a type's values.
type Size struct {
	Min   int64 // in bytes, of the shortest value; stops at math.MaxInt64
	Fixed bool  // every value takes Min bytes
}

// Size returns the size of t's values on the wire. It must not be asked for a
// recursive type.
func (t *Type) Size() Size { return sizes{}.of(t) }

// sizes remembers the sizes of types: a struct used twice in each of n structs
// would otherwise be visited 2ⁿ times.
type sizes map[*Type]Size

func (m sizes) of(t *Type) Size {
	if s, ok := m[t]; ok {
		return s
	}
	s := m.compute(t)
	m[t] = s
	return s
}

func (m sizes) compute(t *Type) Size {
	switch t.Kind {
	case String, Bytes, Slice, Map:
		return Size{Min: 4}
	case Pointer:
		return Size{Min: 1}
	case Array:
		elem := m.of(t.Elem)
		return Size{Min: saturatingMul(elem.Min, t.Len), Fixed: elem.Fixed || t.Len == 0}
	case Struct:
		sum := Size{Fixed: true}
		for _, f := range t.Fields {
			s := m.of(f.Type)
			sum.Min = saturatingAdd(sum.Min, s.Min)
			sum.Fixed = sum.Fixed && s.Fixed
		}
		return sum
	}
	return Size{Min: wireSizes[t.Kind], Fixed: true}
}

func saturatingAdd(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func saturatingMul(a, b int64) int64 {
	if a != 0 && b > math.MaxInt64/a {
		return math.MaxInt64
	}
	return a * b
}
