package model

import "math"

// Limits of a contract.
const (
	MaxMethods   = math.MaxUint16 // a method's number has 16 bits
	MaxSentinels = 0x7fff         // codes from 0x8000 are the framework's
	MaxFixed     = 1 << 30        // bytes that arguments or results take at least
)

// Check returns what is wrong with p apart from what its reader has reported.
// Types of kind [Refused] are passed over.
func Check(p *Package) Faults {
	c := checker{checked: map[*Type]bool{}, filled: map[*Type]bool{}, sizes: sizes{}, buffers: map[*Type]bool{}}
	c.sentinels(p)
	c.contracts(p)
	for v := range values(p) {
		c.shape(v.Type)
	}
	if c.recursion {
		return c.faults
	}
	for v := range values(p) {
		c.content(v.Type)
	}
	for _, con := range p.Contracts {
		for _, m := range con.Methods {
			c.total(con, m, "arguments", m.Args)
			c.total(con, m, "results", m.Results)
		}
	}
	return c.faults
}

// values yields all arguments and results of p.
func values(p *Package) func(func(Value) bool) {
	return func(yield func(Value) bool) {
		for _, con := range p.Contracts {
			for _, m := range con.Methods {
				for _, list := range [][]Value{m.Args, m.Results} {
					for _, v := range list {
						if !yield(v) {
							return
						}
					}
				}
			}
		}
	}
}

type checker struct {
	faults    Faults
	path      []*Type        // from a value to the type whose shape is being checked
	checked   map[*Type]bool // types whose shape was checked
	recursion bool           // a type contains itself, sizes are infinite
	filled    map[*Type]bool // types whose content was checked
	sizes     sizes
	buffers   map[*Type]bool // whether types hold buffers
}

func (c *checker) contracts(p *Package) {
	seen := map[string]*Contract{}
	for _, con := range p.Contracts {
		if first := seen[con.Name]; first != nil {
			c.faults.Addf(con.Pos, "contract %s is declared twice, first at %v", con.Name, first.Pos)
		}
		seen[con.Name] = con
		c.methods(con)
	}
}

func (c *checker) methods(con *Contract) {
	switch n := len(con.Methods); {
	case n == 0:
		c.faults.Addf(con.Pos, "%s has no methods; there is nothing to call", con.Name)
	case n > MaxMethods:
		c.faults.Addf(con.Pos, "%s has %d methods and a contract holds at most %d; divide it", con.Name, n, MaxMethods)
	}
	seen := map[string]*Method{}
	for _, m := range con.Methods {
		if first := seen[m.Name]; first != nil {
			c.faults.Addf(m.Pos, "%s.%s is declared twice, first at %v", con.Name, m.Name, first.Pos)
		}
		seen[m.Name] = m
	}
}

func (c *checker) sentinels(p *Package) {
	if n := len(p.Sentinels); n > MaxSentinels {
		c.faults.Addf(p.Sentinels[MaxSentinels].Pos, "the package declares %d sentinels and there are codes for %d", n, MaxSentinels)
	}
}

// total refuses arguments or results that no lane can hold.
func (c *checker) total(con *Contract, m *Method, what string, list []Value) {
	var sum int64
	for _, v := range list {
		size := c.sizes.of(v.Type).Min
		if size > MaxFixed {
			return // reported for the type
		}
		sum += size
	}
	if sum > MaxFixed {
		c.faults.Addf(m.Pos, "%s.%s: its %s take at least %d bytes, more than any lane holds; use slices instead of arrays",
			con.Name, m.Name, what, sum)
	}
}
