package edl

import (
	"go/token"
	"maps"
	"strings"

	"github.com/secgear/secgear/sdk/idl/model"
)

// define adds the macro that the line after #define describes.
func (p *preprocessor) define(hash lexeme, line []lexeme) {
	if len(line) == 0 || line[0].kind != kindName {
		p.faults.Addf(hash.pos, "a name is missing after #define")
		return
	}
	name, body := line[0].text, line[1:]
	m := macro{body: body}
	if len(body) > 0 && body[0].is("(") && body[0].glued {
		end := 1
		for ; end < len(body) && !body[end].is(")"); end++ {
			if body[end].kind == kindName {
				m.params = append(m.params, body[end].text)
			}
		}
		if end == len(body) {
			p.faults.Addf(hash.pos, "a ) is missing after the parameters of macro %s", name)
			return
		}
		m.function, m.body = true, body[end+1:]
	}
	p.macros[name] = m
}

// defines returns the macros that -D options make: NAME, which stands for 1,
// or NAME=VALUE.
func defines(options []string, faults *model.Faults) map[string]macro {
	out := map[string]macro{}
	for _, o := range options {
		name, value, given := strings.Cut(o, "=")
		if !given {
			value = "1"
		}
		x := newLexer("-D "+name, value, faults)
		if run(name, func(c byte) bool { return isLetter(c) || isDigit(c) }) != name || name == "" || isDigit(name[0]) {
			faults.Addf(token.Position{Filename: "-D " + o}, "%q is not a name", name)
			continue
		}
		var m macro
		for l := x.next(); l.kind != kindEOF; l = x.next() {
			m.body = append(m.body, l)
		}
		out[name] = m
	}
	return out
}

// replace replaces l, if it is a macro, and reports whether it did.
func (p *preprocessor) replace(l lexeme) bool {
	m, ok := p.macros[l.text]
	if !ok || l.hides[l.text] {
		return false
	}
	var args [][]lexeme
	if m.function {
		if args, ok = p.arguments(); !ok {
			return false
		}
	}
	hides := map[string]bool{l.text: true}
	maps.Copy(hides, l.hides)
	out := substitute(m, args, l, hides)
	p.replaced += len(out) + 1
	if p.replaced > maxReplaced {
		p.faults.Addf(l.pos, "macro %s yields too much", l.text)
		p.macros = map[string]macro{}
		return true
	}
	p.pending = append(out, p.pending...)
	return true
}

// substitute returns the body of m with its parameters replaced, all of it at
// the place where the macro was used.
func substitute(m macro, args [][]lexeme, at lexeme, hides map[string]bool) []lexeme {
	var out []lexeme
	add := func(l lexeme) {
		l.pos, l.first, l.hides = at.pos, false, hides
		out = append(out, l)
	}
	for _, l := range m.body {
		param := -1
		for i, name := range m.params {
			if l.kind == kindName && l.text == name {
				param = i
			}
		}
		if param < 0 {
			add(l)
			continue
		}
		if param < len(args) {
			for _, a := range args[param] {
				add(a)
			}
		}
		if len(out) > maxReplaced {
			break
		}
	}
	return out
}

// arguments reads the arguments of a macro, if there is a parenthesis.
func (p *preprocessor) arguments() ([][]lexeme, bool) {
	open := p.take()
	if !open.is("(") {
		p.pending = append([]lexeme{open}, p.pending...)
		return nil, false
	}
	var args [][]lexeme
	var arg []lexeme
	for depth := 0; ; {
		l := p.take()
		switch {
		case l.kind == kindEOF:
			p.faults.Addf(open.pos, "a ) is missing after the arguments of a macro")
			return args, true
		case l.is("("):
			depth++
		case l.is(")") && depth == 0:
			return append(args, arg), true
		case l.is(")"):
			depth--
		case l.is(",") && depth == 0:
			args, arg = append(args, arg), nil
			continue
		}
		arg = append(arg, l)
	}
}
