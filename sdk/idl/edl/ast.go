package edl

import (
	"go/token"
	"strings"
)

// File is the syntax tree of one EDL file.
type File struct {
	Path      string // where it was found
	Name      string // without folder and extension
	Includes  []Include
	Imports   []*Import
	Types     []*Composite
	Trusted   []*Function // ECALLs
	Untrusted []*Function // OCALLs
}

// Include names a C header.
type Include struct {
	Pos  token.Position
	Name string
}

// Import is from "…" import f, g or import "…".
type Import struct {
	Pos   token.Position
	Path  string
	All   bool // *, or no list
	Names []Name
}

// Name is an identifier where it stands.
type Name struct {
	Pos  token.Position
	Text string
}

// Shape is what a composite type is.
type Shape uint8

// The shapes of composite types.
const (
	StructShape Shape = iota
	UnionShape
	EnumShape
)

var shapeWords = [...]string{"struct", "union", "enum"}

// String returns the word that declares the shape.
func (s Shape) String() string { return shapeWords[s] }

// Composite declares a struct, a union or an enum.
type Composite struct {
	Pos     token.Position
	Shape   Shape
	Name    string // "" for an anonymous enum
	Members []*Decl
	Values  []EnumValue
}

// EnumValue is one of the names that an enum declares.
type EnumValue struct {
	Name
	Value *Value // nil if none was given
}

// Value is a number or a name that stands for one.
type Value struct {
	Pos    token.Position
	Text   string
	Number bool
}

// Function is an ECALL or an OCALL.
type Function struct {
	Pos        token.Position // of its name
	Name       string
	Return     Type
	Dims       []Dim // after the returned type: never valid
	Params     []*Decl
	Attrs      []Attr // cdecl and the like
	Public     bool
	Allow      []Name
	HasAllow   bool
	AllowPos   token.Position
	Errno      bool // propagate_errno
	Switchless bool // transition_using_threads
	AtSwitch   token.Position
}

// Decl is a parameter or a member.
type Decl struct {
	Pos      token.Position // of its name
	Start    token.Position // of its attributes or type
	Name     string
	HasAttrs bool
	Attrs    []Attr
	Type     Type
	Dims     []Dim
}

// attr returns the last attribute of that name, or nil.
func (d *Decl) attr(name string) *Attr {
	for i := len(d.Attrs) - 1; i >= 0; i-- {
		if d.Attrs[i].Name == name {
			return &d.Attrs[i]
		}
	}
	return nil
}

func (d *Decl) has(name string) bool { return d.attr(name) != nil }

// directed reports whether the declaration has a direction.
func (d *Decl) directed() bool { return d.has("in") || d.has("out") }

// sized reports whether the declaration has a size or count.
func (d *Decl) sized() bool { return d.has("size") || d.has("count") }

// Attr is one attribute.
type Attr struct {
	Pos   token.Position
	Name  string
	Value *Value // nil if none was given
}

// Dim is one dimension of an array.
type Dim struct {
	Pos   token.Position
	Value *Value // nil for []
}

// Type is the type of a declaration, without its dimensions.
type Type struct {
	Pos      token.Position
	Base     string // "unsigned long", "uint8_t", "void"; or the name of a composite or foreign type
	Tag      string // "struct", "union", "enum", or "" if the name stands alone
	Foreign  bool   // neither a basic type nor declared with a tag
	Const    bool
	Pointers int
}

// String returns t as the EDL has it, in the canonical spelling of the original
// generators.
func (t Type) String() string {
	s := t.Base
	if t.Tag != "" {
		s = t.Tag + " " + s
	}
	if t.Const {
		s = "const " + s
	}
	return s + strings.Repeat("*", t.Pointers)
}

func (t Type) isVoid() bool { return t.Base == "void" && t.Pointers == 0 && t.Tag == "" }
