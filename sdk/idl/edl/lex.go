package edl

import (
	"go/token"
	"strings"

	"github.com/secgear/secgear/sdk/idl/model"
)

// kind is what a lexeme is.
type kind uint8

const (
	kindEOF kind = iota
	kindName
	kindNumber
	kindString // text is without its quotes
	kindSymbol
	kindOther // a character that EDL has no use for; reported when it is not skipped
)

// lexeme is one token of the source.
type lexeme struct {
	kind  kind
	text  string
	pos   token.Position
	first bool            // the first one on its line
	glued bool            // follows the one before without space
	hides map[string]bool // macros that it came from and that it must not be replaced by again
}

// is reports whether l is the symbol or word text.
func (l lexeme) is(text string) bool {
	return l.text == text && (l.kind == kindSymbol || l.kind == kindName)
}

// String returns l as a message shows it.
func (l lexeme) String() string {
	switch l.kind {
	case kindEOF:
		return "end of file"
	case kindString:
		return `"` + l.text + `"`
	}
	return l.text
}

// symbols of EDL and of the preprocessor's expressions, the longer ones first.
var symbols = []string{
	"&&", "||", "==", "!=", "<=", ">=", "<<", ">>",
	"{", "}", "(", ")", "[", "]", "*", ".", ",", ";", "=", "#",
	"!", "<", ">", "+", "-", "/", "%", "~", "&", "|", "^", "?", ":",
}

// lexer cuts the text of one file into lexemes.
type lexer struct {
	file   string
	text   string
	off    int
	line   int
	start  int // offset of the line's first byte
	faults *model.Faults
}

func newLexer(file, text string, faults *model.Faults) *lexer {
	return &lexer{file: file, text: strings.TrimPrefix(text, "\ufeff"), line: 1, faults: faults}
}

func (x *lexer) pos() token.Position {
	return token.Position{Filename: x.file, Offset: x.off, Line: x.line, Column: x.off - x.start + 1}
}

// next returns the next lexeme, the last one again and again.
func (x *lexer) next() lexeme {
	fresh := x.off == 0
	at := x.off
	fresh = x.space() || fresh
	l := lexeme{pos: x.pos(), first: fresh, glued: x.off == at}
	rest := x.text[x.off:]
	switch {
	case rest == "":
		return l
	case isLetter(rest[0]):
		l.kind, l.text = kindName, run(rest, func(c byte) bool { return isLetter(c) || isDigit(c) })
	case isDigit(rest[0]):
		l.kind, l.text = kindNumber, run(rest, func(c byte) bool { return isLetter(c) || isDigit(c) })
	case rest[0] == '"':
		return x.quoted(l)
	default:
		l.kind, l.text = symbol(rest)
	}
	x.off += len(l.text)
	return l
}

// quoted reads a string, which ends on its line.
func (x *lexer) quoted(l lexeme) lexeme {
	rest := x.text[x.off+1:]
	end := strings.IndexAny(rest, "\"\n")
	if end < 0 || rest[end] == '\n' {
		l.kind, l.text = kindOther, `"`
		x.off++
		return l
	}
	l.kind, l.text = kindString, rest[:end]
	x.off += end + 2
	return l
}

func symbol(rest string) (kind, string) {
	for _, s := range symbols {
		if strings.HasPrefix(rest, s) {
			return kindSymbol, s
		}
	}
	for i := range rest {
		if i > 0 {
			return kindOther, rest[:i] // a whole character of UTF-8
		}
	}
	return kindOther, rest
}

// space skips white space and comments, and reports whether a line ended.
func (x *lexer) space() (newline bool) {
	for x.off < len(x.text) {
		rest := x.text[x.off:]
		switch {
		case rest[0] == '\n':
			x.off++
			x.line++
			x.start = x.off
			newline = true
		case strings.HasPrefix(rest, "\\\n"), strings.HasPrefix(rest, "\\\r\n"):
			x.off += strings.IndexByte(rest, '\n') + 1
			x.line++
			x.start = x.off
		case strings.IndexByte(" \t\r\v\f\b", rest[0]) >= 0:
			x.off++
		case strings.HasPrefix(rest, "//"):
			x.off += len(run(rest, func(c byte) bool { return c != '\n' }))
		case strings.HasPrefix(rest, "/*"):
			newline = x.comment() || newline
		default:
			return newline
		}
	}
	return newline
}

// comment skips a comment that may span lines.
func (x *lexer) comment() (newline bool) {
	at, rest := x.pos(), x.text[x.off:]
	end := strings.Index(rest[2:], "*/")
	if end < 0 {
		x.faults.Addf(at, "end of file while looking for */")
		end = len(rest) - 4
	}
	text := rest[:end+4]
	for i := range len(text) {
		if text[i] == '\n' {
			x.line++
			x.start = x.off + i + 1
			newline = true
		}
	}
	x.off += len(text)
	return newline
}

// run returns the longest beginning of text whose bytes all are ok.
func run(text string, ok func(byte) bool) string {
	n := 0
	for n < len(text) && ok(text[n]) {
		n++
	}
	return text[:n]
}

func isLetter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
