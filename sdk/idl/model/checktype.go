package model

import (
	"slices"
	"strings"
)

// shape checks, once, that t is made of what the wire format knows and not of
// itself.
func (c *checker) shape(t *Type) {
	if start := slices.Index(c.path, t); start >= 0 {
		c.recursive(t, c.path[start:])
		return
	}
	if c.checked[t] {
		return
	}
	c.checked[t] = true
	c.path = append(c.path, t)
	c.parts(t)
	c.path = c.path[:len(c.path)-1]
}

func (c *checker) parts(t *Type) {
	switch t.Kind {
	case Pointer:
		if k := t.Elem.Kind; k != Struct && k != Refused {
			c.faults.Addf(t.Pos, "%s points to something other than a struct; pass the value itself, or a pointer to a struct that holds it", t)
		}
	case Map:
		if !isKey(t.Key.Kind) {
			c.faults.Addf(t.Pos, "%s has keys of type %s; keys are strings or integers, so send a slice of structs instead", t, t.Key)
		}
	}
	if t.Elem != nil {
		c.shape(t.Elem)
	}
	for _, f := range t.Fields {
		c.shape(f.Type)
	}
}

func isKey(k Kind) bool {
	return k >= Int && k <= Uint64 || k == String || k == Duration || k == Refused
}

// recursive reports that t contains itself by way of cycle, which starts with
// it.
func (c *checker) recursive(t *Type, cycle []*Type) {
	c.recursion = true
	var names []string
	for _, t := range append(slices.Clone(cycle), t) {
		if t.Name != "" {
			names = append(names, t.Name)
		}
	}
	c.faults.Addf(t.Pos, "%s contains itself (%s); send a slice of elements that refer to each other by index",
		t, strings.Join(names, " → "))
}

// content checks, once, what t's elements hold.
func (c *checker) content(t *Type) {
	if t == nil || c.filled[t] {
		return
	}
	c.filled[t] = true
	switch t.Kind {
	case Slice: // else a message of four bytes could claim four billion elements
		if c.sizes.of(t.Elem).Min == 0 {
			c.faults.Addf(t.Pos, "%s has elements without content; send their number instead", t)
		}
		c.oneBuffer(t)
	case Array, Map:
		c.oneBuffer(t)
	}
	c.content(t.Elem)
	for _, f := range t.Fields {
		c.content(f.Type)
	}
	c.fits(t)
}

// fits refuses a type too large for any lane, but not because of a part that is
// so itself.
func (c *checker) fits(t *Type) {
	small := func(t *Type) bool { return c.sizes.of(t).Min <= MaxFixed }
	if small(t) || t.Elem != nil && !small(t.Elem) || slices.ContainsFunc(t.Fields, func(f Field) bool { return !small(f.Type) }) {
		return
	}
	c.faults.Addf(t.Pos, "%s takes at least %d bytes, more than any lane holds; use slices instead of arrays", t, c.sizes.of(t).Min)
}

// oneBuffer refuses buffers within slices, arrays and maps: how many of them a
// message refers to is fixed by its contract, so that a lane can keep account
// of them without allocating.
func (c *checker) oneBuffer(t *Type) {
	if c.holdsBuffer(t.Elem) {
		c.faults.Addf(t.Pos, "%s holds any number of shm.Buffer; pass each buffer as an argument, a result or a field of its own", t)
	}
}

func (c *checker) holdsBuffer(t *Type) bool {
	if t == nil {
		return false
	}
	if has, ok := c.buffers[t]; ok {
		return has
	}
	has := t.Kind == Buffer || c.holdsBuffer(t.Elem)
	for _, f := range t.Fields {
		has = has || c.holdsBuffer(f.Type)
	}
	c.buffers[t] = has
	return has
}
