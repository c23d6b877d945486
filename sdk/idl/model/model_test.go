package model

import (
	"fmt"
	"go/token"
	"math"
	"strings"
	"testing"
)

// demo returns a package that uses each part of the model.
func demo() *Package {
	person := &Type{Kind: Struct, Name: "Person", Fields: []Field{
		{Name: "Name", Type: &Type{Kind: String}},
		{Name: "Friends", Type: &Type{Kind: Slice, Elem: &Type{Kind: Uint32}}},
	}}
	pair := &Type{Kind: Struct, Name: "Pair", Fields: []Field{{Name: "A", Type: person}, {Name: "B", Type: &Type{Kind: Pointer, Elem: person}}}}
	return &Package{
		Name: "demo", Path: "example.com/demo",
		Contracts: []*Contract{{Name: "Greeter", Methods: []*Method{
			{
				Name: "Add", Args: []Value{{Name: "a", Type: &Type{Kind: Int64}}, {Name: "at", Type: &Type{Kind: Time}}},
				Results: []Value{{Type: &Type{Kind: Array, Len: 4, Elem: &Type{Kind: Duration}}}},
			},
			{Name: "Meet", Switched: true, Args: []Value{
				{Type: pair},
				{Type: &Type{Kind: Map, Key: &Type{Kind: String}, Elem: &Type{Kind: Bytes}}},
				{Type: person},
			}},
		}}},
		Sentinels: []Sentinel{{Name: "ErrOne"}, {Name: "ErrTwo"}},
	}
}

func TestCanonical(t *testing.T) {
	const want = `contract example.com/demo.Greeter, wire format 1
Add(int64,time.Time)([4]time.Duration)
Meet switched(t0,map[string][]byte,t1)()
t0 = struct{A t1;B *t1}
t1 = struct{Name string;Friends []uint32}
errors ErrOne ErrTwo
`
	p := demo()
	if got := p.Contracts[0].Canonical(p); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	// printf '…' | sha256sum of the text above: the value must never change.
	if got, want := p.Contracts[0].ID(p), uint32(0xcb1c1cf9); got != want {
		t.Errorf("got %#010x, want %#010x", got, want)
	}
}

// TestCanonicalDemands: demands are told without the names of values.
func TestCanonicalDemands(t *testing.T) {
	tests := []struct {
		d    Demand
		want string
	}{
		{Demand{Rule: Exactly, Value: 1, Unit: 4, Factors: []Factor{{Value: 0}, {Value: 2, Len: true}, {Value: -1, Const: 7}}}, "len(#1)*4==#0*len(#2)*7"},
		{Demand{Rule: AtMost, Value: 1, Unit: 1, Factors: []Factor{{Value: 0}}}, "len(#1)*1<=#0"},
		{Demand{Rule: NoNUL, Value: 3}, "nonul(#3)"},
		{Demand{Rule: Within, Value: 3, Factors: []Factor{{Value: 1}}}, "within(#3,#1)"},
	}
	for _, tt := range tests {
		if got := tt.d.canonical(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

// TestID: what a message can show changes the fingerprint, names don't.
func TestID(t *testing.T) {
	person := func(p *Package) *Type { return p.Contracts[0].Methods[1].Args[2].Type }
	tests := []struct {
		name   string
		edit   func(*Package)
		change bool
	}{
		{"name of an argument", func(p *Package) { p.Contracts[0].Methods[0].Args[0].Name = "b" }, false},
		{"name of a type", func(p *Package) { person(p).Name = "Human" }, false},
		{"doc", func(p *Package) { p.Contracts[0].Doc = "other" }, false},
		{"path", func(p *Package) { p.Path += "/v2" }, true},
		{"contract", func(p *Package) { p.Contracts[0].Name = "G" }, true},
		{"method", func(p *Package) { p.Contracts[0].Methods[0].Name = "Sum" }, true},
		{"order", func(p *Package) { m := p.Contracts[0].Methods; m[0], m[1] = m[1], m[0] }, true},
		{"method more", func(p *Package) { c := p.Contracts[0]; c.Methods = append(c.Methods, &Method{Name: "C"}) }, true},
		{"switched", func(p *Package) { p.Contracts[0].Methods[0].Switched = true }, true},
		{"argument to result", func(p *Package) {
			m := p.Contracts[0].Methods[0]
			m.Args, m.Results = m.Args[:1], append(m.Args[1:2:2], m.Results...)
		}, true},
		{"type of an argument", func(p *Package) { p.Contracts[0].Methods[0].Args[0].Type.Kind = Int }, true},
		{"length", func(p *Package) { p.Contracts[0].Methods[0].Results[0].Type.Len = 5 }, true},
		{"key", func(p *Package) { p.Contracts[0].Methods[1].Args[1].Type.Key.Kind = Int }, true},
		{"field", func(p *Package) { person(p).Fields[0].Name = "First" }, true},
		{"type of a field", func(p *Package) { person(p).Fields[1].Type.Elem.Kind = Int32 }, true},
		{"order of fields", func(p *Package) { f := person(p).Fields; f[0], f[1] = f[1], f[0] }, true},
		{"sentinel", func(p *Package) { p.Sentinels[0].Name = "ErrZero" }, true},
		{"order of sentinels", func(p *Package) { s := p.Sentinels; s[0], s[1] = s[1], s[0] }, true},
		{"demand", func(p *Package) { p.Contracts[0].Methods[1].Checks = []Demand{{Rule: NoNUL, Value: 0}} }, true},
		{"demand on a struct", func(p *Package) { person(p).Checks = []Demand{{Rule: NoNUL, Value: 0}} }, true},
		{"private", func(p *Package) { p.Contracts[0].Methods[0].Private = true }, false},
		{"no sentinels", func(p *Package) { p.Sentinels = nil }, true},
	}
	p := demo()
	id := p.Contracts[0].ID(p)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := demo()
			tt.edit(p)
			if changed := p.Contracts[0].ID(p) != id; changed != tt.change {
				t.Errorf("the fingerprint's change is %v:\n%s", changed, p.Contracts[0].Canonical(p))
			}
		})
	}
}

func TestSize(t *testing.T) {
	fixed := func(n int64) Size { return Size{Min: n, Fixed: true} }
	str, u16 := &Type{Kind: String}, &Type{Kind: Uint16}
	tests := []struct {
		t    *Type
		want Size
	}{
		{&Type{Kind: Bool}, fixed(1)},
		{&Type{Kind: Time}, fixed(12)},
		{&Type{Kind: Buffer}, fixed(16)},
		{str, Size{Min: 4}},
		{&Type{Kind: Slice, Elem: u16}, Size{Min: 4}},
		{&Type{Kind: Map, Key: u16, Elem: u16}, Size{Min: 4}},
		{&Type{Kind: Array, Len: 3, Elem: u16}, fixed(6)},
		{&Type{Kind: Array, Len: 3, Elem: str}, Size{Min: 12}},
		{&Type{Kind: Array, Len: 0, Elem: str}, fixed(0)},
		{&Type{Kind: Array, Len: math.MaxInt64, Elem: u16}, fixed(math.MaxInt64)},
		{&Type{Kind: Struct}, fixed(0)},
		{&Type{Kind: Struct, Fields: []Field{{Type: u16}, {Type: u16}}}, fixed(4)},
		{&Type{Kind: Struct, Fields: []Field{{Type: u16}, {Type: str}}}, Size{Min: 6}},
		{&Type{Kind: Pointer, Elem: &Type{Kind: Struct}}, Size{Min: 1}},
	}
	for _, tt := range tests {
		if got := tt.t.Size(); got != tt.want {
			t.Errorf("%v: got %+v, want %+v", tt.t, got, tt.want)
		}
	}
}

// TestCheckLimits: counts that no source in a table can reach.
func TestCheckLimits(t *testing.T) {
	p := demo()
	if faults := Check(p); faults != nil {
		t.Errorf("demo: %v", faults)
	}
	for i := range MaxMethods {
		p.Contracts[0].Methods = append(p.Contracts[0].Methods, &Method{Name: fmt.Sprint("M", i)})
	}
	for i := range MaxSentinels {
		p.Sentinels = append(p.Sentinels, Sentinel{Name: fmt.Sprint("Err", i)})
	}
	const want = "-: Greeter has 65537 methods and a contract holds at most 65535; divide it\n" +
		"-: the package declares 32769 sentinels and there are codes for 32767"
	if got := Check(p).Err(); got == nil || got.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", got, want)
	}
}

// TestCheckShared: a type that is used twice in each of many is looked at
// once.
func TestCheckShared(t *testing.T) {
	typ := &Type{Kind: Struct, Name: "T0", Fields: []Field{{Name: "A", Type: &Type{Kind: Bool}}}}
	for i := range 25 {
		typ = &Type{Kind: Struct, Name: fmt.Sprint("T", i+1), Fields: []Field{{Name: "A", Type: typ}, {Name: "B", Type: typ}}}
	}
	p := demo()
	p.Contracts[0].Methods[0].Args = []Value{{Type: typ}}
	if err := Check(p).Err(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(p.Contracts[0].Canonical(p), "struct{"); n != 28 {
		t.Errorf("the canonical text has %d structs", n)
	}
}

// TestRefusedIsSilent: a type that a reader refused causes no more faults.
func TestRefusedIsSilent(t *testing.T) {
	refused := &Type{Kind: Refused}
	p := demo()
	p.Contracts[0].Methods[0].Args = []Value{
		{Type: refused},
		{Type: &Type{Kind: Slice, Elem: refused}},
		{Type: &Type{Kind: Pointer, Elem: refused}},
		{Type: &Type{Kind: Map, Key: refused, Elem: refused}},
		{Type: &Type{Kind: Slice, Elem: &Type{Kind: Struct, Fields: []Field{{Type: refused}}}}},
	}
	if err := Check(p).Err(); err != nil {
		t.Error(err)
	}
}

func TestFaults(t *testing.T) {
	at := func(file string, line, column int) token.Position {
		return token.Position{Filename: file, Line: line, Column: column}
	}
	var f Faults
	if f.Err() != nil {
		t.Error("no faults are an error")
	}
	f.Addf(at("b.go", 1, 1), "last")
	f.Addf(at("a.go", 10, 1), "third")
	f.Addf(at("a.go", 9, 2), "second")
	f.Addf(at("a.go", 9, 1), "%s", "first")
	f.Addf(at("a.go", 9, 2), "second")
	const want = "a.go:9:1: first\na.go:9:2: second\na.go:10:1: third\nb.go:1:1: last"
	if got := f.Err().Error(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
