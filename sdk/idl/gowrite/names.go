package gowrite

import (
	"go/token"
	"strconv"
	"unicode"

	"github.com/secgear/secgear/sdk/idl/model"
)

// predeclared are the identifiers of the language that generated code uses.
var predeclared = []string{
	"bool", "int", "int8", "int16", "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
	"string", "byte", "error", "nil", "true", "false", "len", "make", "new",
}

// locals are the variables of generated functions. No type of a contract may
// be called so.
var locals = []string{"c", "ctx", "d", "e", "err", "f", "i", "impl", "k", "m", "method", "n", "p", "q", "t", "to", "twice", "v", "x"}

// names hands out package-level identifiers.
type names struct {
	taken  map[string]token.Position
	mine   map[string]string // generated name → what it is for
	faults model.Faults
}

func newNames(p *model.Package) *names {
	n := &names{taken: p.Taken, mine: map[string]string{}}
	for _, id := range predeclared {
		if pos, ok := p.Taken[id]; ok {
			n.faults.Addf(pos, "%s hides what the language calls so, which generated code uses; rename it", id)
		}
	}
	return n
}

// claim takes an exported name, which follows from the contract and can't be
// another.
func (n *names) claim(id, owner string, pos token.Position) string {
	if at, ok := n.taken[id]; ok {
		n.faults.Addf(at, "%s is generated for %s; rename this one", id, owner)
	}
	if other, ok := n.mine[id]; ok {
		n.faults.Addf(pos, "%s is generated for %s and for %s; rename one of these", id, other, owner)
	}
	n.mine[id] = owner
	return id
}

// free reports whether nothing is called id yet.
func (n *names) free(id string) bool {
	_, taken := n.taken[id]
	_, mine := n.mine[id]
	return !taken && !mine
}

// fresh takes a name for something internal: base, or base with a number that
// makes each of its variations free.
func (n *names) fresh(owner, base string, variations ...func(string) string) string {
	if variations == nil {
		variations = []func(string) string{func(s string) string { return s }}
	}
	for i := 1; ; i++ {
		name := base
		if i > 1 {
			name += strconv.Itoa(i)
		}
		ok := true
		for _, vary := range variations {
			ok = ok && n.free(vary(name))
		}
		if !ok {
			continue
		}
		for _, vary := range variations {
			n.mine[vary(name)] = owner
		}
		return name
	}
}

// lower returns name unexported: Greeter → greeter, HTTPServer → httpServer.
func lower(name string) string {
	runes := []rune(name)
	for i, r := range runes {
		if !unicode.IsUpper(r) || i > 0 && i+1 < len(runes) && unicode.IsLower(runes[i+1]) {
			break
		}
		runes[i] = unicode.ToLower(r)
	}
	return string(runes)
}

// upper returns name with its first letter in upper case.
func upper(name string) string {
	runes := []rune(name)
	runes[0] = unicode.ToUpper(runes[0])
	return string(runes)
}

// scope hands out the identifiers within a function.
type scope map[string]bool

// pick takes name, with a number if it is taken.
func (s scope) pick(name string) string {
	id := name
	for i := 1; s[id]; i++ {
		id = name + strconv.Itoa(i)
	}
	s[id] = true
	return id
}
