package model

import (
	"fmt"
	"go/token"
	"strconv"
	"strings"
)

// Rule is what a [Demand] demands.
type Rule uint8

// The rules of demands.
const (
	Exactly Rule = iota // a length that is a product
	AtMost              // a length that is no more than a product
	NoNUL               // a text without a 0 inside
	Within              // a result whose lengths inside are at most those of an argument, which is the only factor
)

// Demand is one on a value that types don't express, made by a
// //secgear:check directive. Both sides enforce it on what they send and what
// they receive.
//
// A value is named by its number: arguments of a method come before its
// results; for a check of a struct it is the number of the field.
type Demand struct {
	Pos     token.Position
	Rule    Rule
	Value   int      // whose length or text is checked
	Unit    int64    // what each of its elements counts
	Factors []Factor // their product is the bound
}

// Factor is one factor of a product: a number, the value of an integer, or the
// length of a value.
type Factor struct {
	Const int64
	Value int // or -1, then Const counts
	Len   bool
}

// canonical returns the check as text, without the names of values.
func (c Demand) canonical() string {
	switch c.Rule {
	case NoNUL:
		return fmt.Sprintf("nonul(#%d)", c.Value)
	case Within:
		return fmt.Sprintf("within(#%d,#%d)", c.Value, c.Factors[0].Value)
	}
	op := "=="
	if c.Rule == AtMost {
		op = "<="
	}
	factors := make([]string, len(c.Factors))
	for i, f := range c.Factors {
		switch {
		case f.Value < 0:
			factors[i] = strconv.FormatInt(f.Const, 10)
		case f.Len:
			factors[i] = fmt.Sprintf("len(#%d)", f.Value)
		default:
			factors[i] = fmt.Sprintf("#%d", f.Value)
		}
	}
	return fmt.Sprintf("len(#%d)*%d%s%s", c.Value, c.Unit, op, strings.Join(factors, "*"))
}

// canonicalChecks returns what checks add to the canonical text, nothing if
// there are none.
func canonicalChecks(checks []Demand) string {
	var b strings.Builder
	for _, c := range checks {
		b.WriteString(" check " + c.canonical())
	}
	return b.String()
}
