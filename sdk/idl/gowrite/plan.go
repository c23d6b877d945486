package gowrite

import (
	"slices"

	"github.com/secgear/secgear/sdk/idl/model"
)

// plan holds the names of everything that is generated for a package.
type plan struct {
	p         *model.Package
	names     *names
	helpers   *helpers
	contracts []*contractView
	serve     map[*model.Method]string
	gates     map[*model.Method]string // of private methods
	reserved  map[string]bool          // what an argument may not be called
}

// contractView is what the templates show of a contract.
type contractView struct {
	contract *model.Contract

	Contract  string // its name: within methods, Name is theirs
	FullName  string
	ID        uint32
	Sentinels []string
	There     string // where it is called: "in the enclave"
	Peer      string // who calls it: "the host"

	Client, NewClient, Register string
	Test, Fuzz                  string
	Var, Boundary, Zero         string
}

// Name returns the contract's name.
func (c *contractView) Name() string { return c.Contract }

// newPlan plans the exported names, which may collide with others.
func newPlan(p *model.Package) *plan {
	pl := &plan{p: p, names: newNames(p), serve: map[*model.Method]string{}, gates: map[*model.Method]string{}, reserved: map[string]bool{}}
	seen := map[string]bool{}
	for _, c := range p.Contracts {
		if !seen[c.Name] { // else reported as declared twice
			pl.contracts = append(pl.contracts, pl.contract(c))
		}
		seen[c.Name] = true
	}
	pl.types()
	return pl
}

// complete plans the rest, for a package without faults.
func (pl *plan) complete() {
	for _, v := range pl.contracts {
		v.ID = v.contract.ID(pl.p)
		pl.internal(v, v.contract)
	}
	pl.helpers = newHelpers(pl.names, pl.p)
	for _, id := range slices.Concat(predeclared, []string{"call", "context", "time", "shm"}) {
		pl.reserved[id] = true
	}
	for id := range pl.names.mine {
		pl.reserved[id] = true
	}
}

// contract claims c's exported names.
func (pl *plan) contract(c *model.Contract) *contractView {
	claim := func(id string) string { return pl.names.claim(id, "contract "+c.Name, c.Pos) }
	v := &contractView{
		contract:  c,
		Contract:  c.Name,
		FullName:  c.FullName(pl.p),
		There:     "in the enclave",
		Peer:      "the host",
		Client:    claim(c.Name + "Client"),
		NewClient: claim("New" + c.Name + "Client"),
		Register:  claim("Register" + c.Name),
		Test:      claim("Test" + c.Name + "Boundary"),
		Fuzz:      claim("Fuzz" + c.Name),
	}
	if c.Direction == model.OCALL {
		v.There, v.Peer = "on the host", "the enclave"
	}
	for _, s := range pl.p.Sentinels {
		v.Sentinels = append(v.Sentinels, s.Name)
	}
	pl.methods(c)
	return v
}

// methods claims the names that stand for the methods of c, in the package
// and among the methods of its client.
func (pl *plan) methods(c *model.Contract) {
	byName := map[string]*model.Method{}
	for _, m := range c.Methods {
		if byName[m.Name] != nil {
			continue // reported as declared twice
		}
		byName[m.Name] = m
		pl.names.claim(c.Name+m.Name+"Call", c.Name+"."+m.Name, m.Pos)
	}
	for _, m := range c.Methods {
		if other := byName["Start"+m.Name]; other != nil {
			pl.names.faults.Addf(other.Pos, "%s.%s is generated for calls of %s that are not waited for; rename one of these",
				c.Name, other.Name, m.Name)
		}
	}
}

// internal finds names for what is not exported.
func (pl *plan) internal(v *contractView, c *model.Contract) {
	fresh := func(name string) string { return pl.names.fresh("contract "+c.Name, name) }
	base := lower(c.Name)
	v.Var, v.Boundary, v.Zero = fresh(base+"Contract"), fresh(base+"Boundary"), fresh(base+"Zero")
	for _, m := range c.Methods {
		pl.serve[m] = fresh("serve" + c.Name + m.Name)
		if m.Private {
			pl.gates[m] = fresh(base + m.Name + "Gate")
		}
	}
}

// types reserves the names of types, and reports those that variables of
// generated code would hide.
func (pl *plan) types() {
	seen := map[*model.Type]bool{}
	for _, c := range pl.p.Contracts {
		for _, m := range c.Methods {
			for _, v := range slices.Concat(m.Args, m.Results) {
				pl.reserveTypes(v.Type, seen)
			}
		}
	}
}

func (pl *plan) reserveTypes(t *model.Type, seen map[*model.Type]bool) {
	if t == nil || seen[t] {
		return
	}
	seen[t] = true
	if t.Name != "" {
		pl.reserved[t.Name] = true
		if slices.Contains(locals, t.Name) {
			pl.names.faults.Addf(t.Pos, "type %s is called as a variable in generated code; rename it", t.Name)
		}
	}
	pl.reserveTypes(t.Key, seen)
	pl.reserveTypes(t.Elem, seen)
	for _, f := range t.Fields {
		pl.reserveTypes(f.Type, seen)
	}
}
