package edl

import (
	"slices"
	"strconv"
	"strings"
)

// condition evaluates the expression of an #if or #elif.
func (p *preprocessor) condition(hash lexeme, line []lexeme) bool {
	e := &expression{p: p, hash: hash}
	e.list = e.expand(line, nil, 0)
	if len(line) == 0 {
		p.faults.Addf(hash.pos, "#if with no expression")
		return false
	}
	value := e.choice(0)
	if len(e.list) > 0 {
		e.fault(e.list[0])
	}
	return value != 0
}

// expression is what is left of a preprocessor expression.
type expression struct {
	p      *preprocessor
	hash   lexeme
	list   []lexeme
	failed bool
}

func (e *expression) fault(at lexeme) {
	if !e.failed {
		e.p.faults.Addf(at.pos, "unexpected %s in the expression", at)
	}
	e.failed = true
	e.list = nil
}

// expand decides defined and replaces macros; names that remain stand for 0.
func (e *expression) expand(line []lexeme, hidden []string, depth int) []lexeme {
	var out []lexeme
	for i := 0; i < len(line) && !e.failed; i++ {
		l := line[i]
		if l.is("defined") {
			j := i + 1
			if j < len(line) && line[j].is("(") {
				j++
			}
			if j == len(line) || line[j].kind != kindName {
				e.fault(l)
				return nil
			}
			_, defined := e.p.macros[line[j].text]
			out = append(out, number(l, defined))
			if line[i+1].is("(") {
				j++
				if j == len(line) || !line[j].is(")") {
					e.fault(l)
					return nil
				}
			}
			i = j
			continue
		}
		m, ok := e.p.macros[l.text]
		if l.kind != kindName || !ok || slices.Contains(hidden, l.text) || m.function {
			out = append(out, l)
			continue
		}
		e.p.replaced += len(m.body) + 1
		if depth >= maxNesting || e.p.replaced > maxReplaced {
			e.fault(l)
			return nil
		}
		for _, b := range e.expand(m.body, append(hidden[:len(hidden):len(hidden)], l.text), depth+1) {
			b.pos = l.pos
			out = append(out, b)
		}
	}
	return out
}

// number is the lexeme that stands for a truth value.
func number(at lexeme, v bool) lexeme {
	at.kind, at.text = kindNumber, "0"
	if v {
		at.text = "1"
	}
	return at
}

// accept takes the symbol, if it comes next.
func (e *expression) accept(symbol string) bool {
	if len(e.list) == 0 || !e.list[0].is(symbol) {
		return false
	}
	e.list = e.list[1:]
	return true
}

// choice evaluates a ? b : c.
func (e *expression) choice(depth int) int64 {
	v := e.binary(0, depth)
	if !e.accept("?") {
		return v
	}
	if depth > maxNesting {
		e.fault(e.hash)
		return 0
	}
	a := e.choice(depth + 1)
	if !e.accept(":") {
		e.fault(e.hash)
	}
	b := e.choice(depth + 1)
	if v != 0 {
		return a
	}
	return b
}

// precedence of binary operators, the weakest first.
var precedence = [][]string{
	{"||"},
	{"&&"},
	{"|"},
	{"^"},
	{"&"},
	{"==", "!="},
	{"<", "<=", ">", ">="},
	{"<<", ">>"},
	{"+", "-"},
	{"*", "/", "%"},
}

func (e *expression) binary(level, depth int) int64 {
	if level == len(precedence) {
		return e.unary(depth)
	}
	v := e.binary(level+1, depth)
	for {
		op := ""
		for _, s := range precedence[level] {
			if op == "" && e.accept(s) {
				op = s
			}
		}
		if op == "" {
			return v
		}
		v = e.apply(op, v, e.binary(level+1, depth))
	}
}

func (e *expression) apply(op string, a, b int64) int64 {
	truth := func(v bool) int64 {
		if v {
			return 1
		}
		return 0
	}
	switch op {
	case "||":
		return truth(a != 0 || b != 0)
	case "&&":
		return truth(a != 0 && b != 0)
	case "|":
		return a | b
	case "^":
		return a ^ b
	case "&":
		return a & b
	case "==":
		return truth(a == b)
	case "!=":
		return truth(a != b)
	case "<":
		return truth(a < b)
	case "<=":
		return truth(a <= b)
	case ">":
		return truth(a > b)
	case ">=":
		return truth(a >= b)
	case "<<":
		return a << (uint64(b) & 63)
	case ">>":
		return a >> (uint64(b) & 63)
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	}
	return e.divide(op, a, b)
}

func (e *expression) divide(op string, a, b int64) int64 {
	switch {
	case b == 0:
		if !e.failed {
			e.p.faults.Addf(e.hash.pos, "division by zero in the expression")
		}
		e.failed = true
		return 0
	case op == "/":
		return a / b
	}
	return a % b
}

func (e *expression) unary(depth int) int64 {
	if depth > maxNesting || len(e.list) == 0 {
		e.fault(e.hash)
		return 0
	}
	l := e.list[0]
	e.list = e.list[1:]
	switch {
	case l.is("!"):
		if e.unary(depth+1) == 0 {
			return 1
		}
		return 0
	case l.is("-"):
		return -e.unary(depth + 1)
	case l.is("+"):
		return e.unary(depth + 1)
	case l.is("~"):
		return ^e.unary(depth + 1)
	case l.is("("):
		v := e.choice(depth + 1)
		if !e.accept(")") {
			e.fault(l)
		}
		return v
	case l.kind == kindNumber:
		return e.literal(l)
	case l.kind == kindName:
		return 0
	}
	e.fault(l)
	return 0
}

// literal returns the value of a number as C writes it.
func (e *expression) literal(l lexeme) int64 {
	text := strings.TrimRight(l.text, "uUlL")
	v, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		e.fault(l)
	}
	return int64(v)
}
