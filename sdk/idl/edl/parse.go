package edl

import (
	"path/filepath"
	"strings"

	"github.com/secgear/secgear/sdk/idl/model"
)

// Dialect is the generator whose rules hold.
type Dialect uint8

// The dialects. The grammar of the first two is the same.
const (
	SecGear Dialect = iota
	SGX
	OpenEnclave
)

var dialectNames = [...]string{"secgear", "sgx", "openenclave"}

// String returns the dialect's name on the command line.
func (d Dialect) String() string { return dialectNames[d] }

// ParseDialect returns the dialect of that name.
func ParseDialect(name string) (Dialect, bool) {
	for i, s := range dialectNames {
		if s == name {
			return Dialect(i), true
		}
	}
	return 0, false
}

// parser builds the tree of one file.
type parser struct {
	pp      *preprocessor
	dialect Dialect
	faults  *model.Faults
	at      lexeme // the next lexeme
	after   lexeme // the one after it
	depth   int    // of braces
	file    *File
}

// bail ends the declaration that is being parsed; its fault was reported.
type bail struct{}

// parse returns the tree of the text of an EDL file. Declarations with faults
// are left out.
func parse(path, text string, macros map[string]macro, dialect Dialect, faults *model.Faults) *File {
	base := filepath.Base(path)
	f := &File{Path: path, Name: strings.TrimSuffix(base, filepath.Ext(base))}
	pp := newPreprocessor(newLexer(path, text, faults), macros, dialect == OpenEnclave)
	p := &parser{pp: pp, dialect: dialect, faults: faults, file: f}
	p.at, p.after = pp.next(), pp.next()
	p.try(p.enclave)
	return f
}

// try runs parse and reports whether it came to its end.
func (p *parser) try(parse func()) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, mine := r.(bail); !mine {
				panic(r)
			}
		}
	}()
	parse()
	return true
}

func (p *parser) next() lexeme {
	l := p.at
	if l.is("{") {
		p.depth++
	} else if l.is("}") {
		p.depth--
	}
	p.at, p.after = p.after, p.pp.next()
	return l
}

// fail reports that l is not what should stand there, and bails out.
func (p *parser) fail(l lexeme, format string, args ...any) {
	p.faults.Addf(l.pos, format, args...)
	panic(bail{})
}

func (p *parser) unexpected(l lexeme, want string) {
	if p.dialect == OpenEnclave {
		p.fail(l, "expecting %s, got %s", want, l)
	}
	p.fail(l, "unexpected token: %s (expecting %s)", l, want)
}

// expect takes the symbol or word that must come next.
func (p *parser) expect(text string) lexeme {
	if !p.at.is(text) {
		p.unexpected(p.at, text)
	}
	return p.next()
}

// accept takes the symbol or word, if it comes next.
func (p *parser) accept(text string) bool {
	if p.at.is(text) {
		p.next()
		return true
	}
	return false
}

// reserved are the words that name nothing in Intel's grammar, which secGear
// shares. Open Enclave reserves none.
var reserved = map[string]bool{
	"char": true, "short": true, "unsigned": true, "int": true, "float": true, "double": true, "long": true, "void": true,
	"int8_t": true, "int16_t": true, "int32_t": true, "int64_t": true,
	"uint8_t": true, "uint16_t": true, "uint32_t": true, "uint64_t": true, "size_t": true, "wchar_t": true,
	"struct": true, "union": true, "enum": true, "const": true,
	"enclave": true, "trusted": true, "untrusted": true, "from": true, "import": true, "include": true,
	"allow": true, "public": true, "transition_using_threads": true, "propagate_errno": true,
}

// name takes a name, which a message calls what.
func (p *parser) name(what string) Name {
	l := p.at
	if l.kind != kindName || p.dialect != OpenEnclave && reserved[l.text] {
		p.unexpected(l, what)
	}
	p.next()
	return Name{l.pos, l.text}
}

// text takes a string.
func (p *parser) text(what string) Name {
	if p.at.kind != kindString {
		p.unexpected(p.at, what)
	}
	l := p.next()
	return Name{l.pos, l.text}
}

// value takes a number or a name.
func (p *parser) value(what string) *Value {
	l := p.at
	if l.kind == kindNumber {
		for i := range len(l.text) {
			if !isDigit(l.text[i]) {
				p.fail(l, "unexpected token: %s (EDL has decimal numbers only)", l)
			}
		}
		p.next()
		return &Value{l.pos, l.text, true}
	}
	n := p.name(what)
	return &Value{n.Pos, n.Text, false}
}

// skip passes over lexemes up to the end of a declaration in the block of that
// depth: a semicolon, which is taken, or the brace that closes the block, which
// is not.
func (p *parser) skip(depth int) {
	for ; p.at.kind != kindEOF; p.next() {
		switch {
		case p.depth > depth:
		case p.at.is("}"):
			return
		case p.at.is(";"):
			p.next()
			return
		}
	}
}

// each parses the declarations of a block up to its closing brace, those after
// a faulty one too.
func (p *parser) each(parse func()) {
	depth := p.depth
	for !p.at.is("}") && p.at.kind != kindEOF {
		if !p.try(parse) {
			p.skip(depth)
		}
	}
}

func (p *parser) enclave() {
	p.expect("enclave")
	p.expect("{")
	p.each(p.item)
	p.expect("}")
	if p.dialect == OpenEnclave {
		p.accept(";")
		for p.at.kind != kindEOF { // that generator does not look at what follows
			p.next()
		}
		return
	}
	p.expect(";")
	if p.at.kind != kindEOF {
		p.unexpected(p.at, "end of file")
	}
}

// item parses what stands directly in the enclave.
func (p *parser) item() {
	switch l := p.at; {
	case l.is("include"):
		p.include()
	case l.is("from"):
		p.from()
	case l.is("import") && p.dialect == OpenEnclave:
		p.next()
		path := p.text("edl filename")
		p.file.Imports = append(p.file.Imports, &Import{Pos: path.Pos, Path: path.Text, All: true})
	case l.is("struct"), l.is("union"):
		p.composite()
	case l.is("enum"):
		p.enum()
	case l.is("trusted"), l.is("untrusted"):
		p.functions(l.is("trusted"))
	default:
		p.fail(l, "unexpected token: %s", l)
	}
}

func (p *parser) include() {
	p.next()
	header := p.text("header filename")
	p.file.Includes = append(p.file.Includes, Include{header.Pos, header.Text})
}

func (p *parser) from() {
	p.next()
	path := p.text("edl filename")
	i := &Import{Pos: path.Pos, Path: path.Text}
	p.expect("import")
	if p.accept("*") {
		i.All = true
	} else {
		i.Names = p.names("function name", ";")
	}
	p.expect(";")
	p.file.Imports = append(p.file.Imports, i)
}

// names parses a list up to end, which is not taken.
func (p *parser) names(what, end string) []Name {
	var out []Name
	for {
		out = append(out, p.name(what))
		if p.at.is(end) || !p.comma(end) {
			return out
		}
	}
}

// comma takes the comma between the elements of a list, and reports whether
// another element follows: Open Enclave allows one at the end.
func (p *parser) comma(end string) bool {
	p.expect(",")
	if p.at.is(end) && p.dialect != OpenEnclave {
		p.unexpected(p.at, "another element")
	}
	return !p.at.is(end)
}
