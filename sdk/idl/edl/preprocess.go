package edl

import (
	"go/token"
	"strings"

	"github.com/secgear/secgear/sdk/idl/model"
)

// Bounds of the preprocessor: what no EDL file needs.
const (
	maxNesting  = 64      // of conditionals, macro arguments, parentheses
	maxReplaced = 1 << 16 // lexemes that macros yield in one file
)

// macro is what a name stands for.
type macro struct {
	function bool
	params   []string
	body     []lexeme
}

// preprocessor hands out the lexemes of a file, with conditionals decided and
// macros replaced. It knows what EDL files use of C's preprocessor: #if,
// #ifdef, #ifndef, #elif, #else, #endif, #define (without # and ##), #undef and
// #error; #pragma, #line and #warning are passed over.
type preprocessor struct {
	lexer    *lexer
	faults   *model.Faults
	inline   bool // directives may stand anywhere and end after their last word, as in Open Enclave
	macros   map[string]macro
	blocks   []conditional
	pending  []lexeme // already replaced, to be handed out next
	replaced int
}

// conditional is an #if that has not ended.
type conditional struct {
	pos   token.Position
	on    bool // what follows counts
	taken bool // one of its branches did count, or none may
	final bool // after #else
}

func newPreprocessor(x *lexer, defines map[string]macro, inline bool) *preprocessor {
	p := &preprocessor{lexer: x, faults: x.faults, inline: inline, macros: map[string]macro{}}
	for name, m := range defines {
		p.macros[name] = m
	}
	return p
}

// next returns the next lexeme that counts.
func (p *preprocessor) next() lexeme {
	for {
		l := p.take()
		switch {
		case l.kind == kindEOF:
			p.unclosed()
			return l
		case l.is("#") && (l.first || p.inline) && l.hides == nil:
			p.directive(l)
		case p.skipping():
		case l.kind == kindOther:
			p.faults.Addf(l.pos, "invalid token: %s", l.text)
		case l.kind == kindName && p.replace(l):
		default:
			return l
		}
	}
}

// take returns the next lexeme as it is.
func (p *preprocessor) take() lexeme {
	if len(p.pending) > 0 {
		l := p.pending[0]
		p.pending = p.pending[1:]
		return l
	}
	return p.lexer.next()
}

func (p *preprocessor) skipping() bool {
	return len(p.blocks) > 0 && !p.blocks[len(p.blocks)-1].on
}

// unclosed reports, once, what the end of the file left open.
func (p *preprocessor) unclosed() {
	for _, b := range p.blocks {
		p.faults.Addf(b.pos, "unterminated #if, #ifdef or #ifndef")
	}
	p.blocks = nil
}

// line returns the lexemes up to the end of the line.
func (p *preprocessor) line() []lexeme {
	var out []lexeme
	for {
		x := *p.lexer
		l := x.next()
		if l.first || l.kind == kindEOF {
			return out
		}
		*p.lexer = x
		out = append(out, l)
	}
}

// word returns the name that follows on the line, or reports its absence.
func (p *preprocessor) word(hash lexeme, after string) (string, bool) {
	x := *p.lexer
	l := x.next()
	if l.kind != kindName || l.first {
		p.faults.Addf(hash.pos, "a name is missing after %s", after)
		return "", false
	}
	*p.lexer = x
	return l.text, true
}

// directive carries out the directive that hash begins.
func (p *preprocessor) directive(hash lexeme) {
	x := *p.lexer
	name := x.next()
	if name.first || name.kind == kindEOF {
		return // the null directive
	}
	*p.lexer = x
	switch name.text {
	case "ifdef", "ifndef":
		macro, _ := p.word(hash, "#"+name.text)
		_, defined := p.macros[macro]
		p.open(hash, defined == (name.text == "ifdef"))
		p.rest()
	case "else":
		p.otherwise(hash)
		p.rest()
	case "endif":
		p.close(hash)
		p.rest()
	default:
		p.lineDirective(hash, name, p.line())
	}
}

// rest drops what follows a directive on its line, unless that counts.
func (p *preprocessor) rest() {
	if !p.inline {
		p.line()
	}
}

// lineDirective carries out a directive that takes the rest of its line.
func (p *preprocessor) lineDirective(hash, name lexeme, line []lexeme) {
	switch name.text {
	case "if":
		p.open(hash, !p.skipping() && p.condition(hash, line))
		return
	case "elif":
		p.alternative(hash, line)
		return
	}
	if p.skipping() {
		return
	}
	switch name.text {
	case "define":
		p.define(hash, line)
	case "undef":
		if len(line) == 0 || line[0].kind != kindName {
			p.faults.Addf(hash.pos, "a name is missing after #undef")
			return
		}
		delete(p.macros, line[0].text)
	case "error":
		p.faults.Addf(hash.pos, "#error %s", words(line))
	case "pragma", "line", "warning", "ident":
	default:
		p.faults.Addf(name.pos, "unsupported directive %s", name)
	}
}

func words(line []lexeme) string {
	var out []string
	for _, l := range line {
		out = append(out, l.String())
	}
	return strings.Join(out, " ")
}

// open begins a conditional.
func (p *preprocessor) open(hash lexeme, on bool) {
	if len(p.blocks) >= maxNesting {
		p.faults.Addf(hash.pos, "conditionals are nested more than %d deep", maxNesting)
		return
	}
	outer := !p.skipping()
	p.blocks = append(p.blocks, conditional{pos: hash.pos, on: outer && on, taken: !outer || on})
}

// current returns the conditional that a directive continues.
func (p *preprocessor) current(hash lexeme, name string) *conditional {
	if len(p.blocks) == 0 {
		p.faults.Addf(hash.pos, "#%s without a previous #if, #ifdef or #ifndef", name)
		return nil
	}
	b := &p.blocks[len(p.blocks)-1]
	if b.final && name != "endif" {
		p.faults.Addf(hash.pos, "#%s after #else", name)
		return nil
	}
	return b
}

func (p *preprocessor) otherwise(hash lexeme) {
	if b := p.current(hash, "else"); b != nil {
		b.on, b.taken, b.final = !b.taken, true, true
	}
}

func (p *preprocessor) alternative(hash lexeme, line []lexeme) {
	b := p.current(hash, "elif")
	if b == nil {
		return
	}
	b.on = !b.taken && p.condition(hash, line)
	b.taken = b.taken || b.on
}

func (p *preprocessor) close(hash lexeme) {
	if p.current(hash, "endif") != nil {
		p.blocks = p.blocks[:len(p.blocks)-1]
	}
}
