package model

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
)

// wireVersion is part of every fingerprint. It changes with the encoding.
const wireVersion = 1

// FullName returns the contract's name among all contracts: the package's path
// and the interface.
func (c *Contract) FullName(p *Package) string { return p.Path + "." + c.Name }

// ID returns the contract's fingerprint: the first four bytes, big-endian, of
// the SHA-256 of its [Contract.Canonical] text. Sides whose contracts differ in
// any way that a message could show have, but for a chance of 2⁻³², different
// ones. It protects from mistakes, not from attackers.
func (c *Contract) ID(p *Package) uint32 {
	sum := sha256.Sum256([]byte(c.Canonical(p)))
	return binary.BigEndian.Uint32(sum[:])
}

// Canonical returns what the contract means on the wire, as text. A line each:
//
//	contract example.com/demo.Greeter, wire format 1
//	Add(int64,[]t0)(int64)
//	Hello switched(string)(string)
//	t0 = struct{Name string;Age int}
//	errors ErrLocked ErrGone
//
// Checks follow what they are made of, as in "Put([]byte,uint64)() check
// len(#0)*1==#1".
//
// Names of arguments, results and types don't count; those of the fields of
// structs do.
func (c *Contract) Canonical(p *Package) string {
	var b strings.Builder
	fmt.Fprintf(&b, "contract %s, wire format %d\n", c.FullName(p), wireVersion)
	s := structs{number: map[*Type]int{}}
	for _, m := range c.Methods {
		b.WriteString(m.Name)
		if m.Switched {
			b.WriteString(" switched")
		}
		fmt.Fprintf(&b, "(%s)(%s)%s\n", s.list(m.Args), s.list(m.Results), canonicalChecks(m.Checks))
	}
	for i := 0; i < len(s.order); i++ { // s.fields adds to s.order
		fmt.Fprintf(&b, "t%d = struct{%s}%s\n", i, s.fields(s.order[i]), canonicalChecks(s.order[i].Checks))
	}
	b.WriteString("errors")
	for _, e := range p.Sentinels {
		b.WriteString(" " + e.Name)
	}
	return b.String() + "\n"
}

// structs numbers the structs of a contract in the order of their first use.
type structs struct {
	number map[*Type]int
	order  []*Type
}

func (s *structs) list(values []Value) string {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = s.text(v.Type)
	}
	return strings.Join(parts, ",")
}

func (s *structs) fields(t *Type) string {
	parts := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		parts[i] = f.Name + " " + s.text(f.Type)
	}
	return strings.Join(parts, ";")
}

func (s *structs) text(t *Type) string {
	switch t.Kind {
	case Struct:
		n, ok := s.number[t]
		if !ok {
			n = len(s.order)
			s.number[t] = n
			s.order = append(s.order, t)
		}
		return fmt.Sprintf("t%d", n)
	case Pointer:
		return "*" + s.text(t.Elem)
	case Slice:
		return "[]" + s.text(t.Elem)
	case Array:
		return fmt.Sprintf("[%d]%s", t.Len, s.text(t.Elem))
	case Map:
		return "map[" + s.text(t.Key) + "]" + s.text(t.Elem)
	}
	return t.Kind.String()
}
