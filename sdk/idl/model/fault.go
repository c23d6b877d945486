package model

import (
	"cmp"
	"fmt"
	"go/token"
	"slices"
	"strings"
)

// Fault is one thing in a contract's source that can't be accepted. Its text
// says what to do about it.
type Fault struct {
	Pos  token.Position
	Text string
}

// Error returns "file:line:column: text".
func (f Fault) Error() string { return f.Pos.String() + ": " + f.Text }

// Faults lists everything wrong with a package. As an error it has one line for
// each fault.
type Faults []Fault

// Addf adds a fault at pos.
func (f *Faults) Addf(pos token.Position, format string, args ...any) {
	*f = append(*f, Fault{Pos: pos, Text: fmt.Sprintf(format, args...)})
}

// Error returns the faults, one a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns the faults sorted by position and without repetitions, or nil
// if there are none.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	sorted := slices.Clone(f)
	slices.SortStableFunc(sorted, func(a, b Fault) int {
		return cmp.Or(
			cmp.Compare(a.Pos.Filename, b.Pos.Filename),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Column, b.Pos.Column),
			cmp.Compare(a.Text, b.Text),
		)
	})
	return slices.Compact(sorted)
}
