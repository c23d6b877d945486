package edl

import (
	"go/token"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// exported returns the Go name of something that C calls name: ecall_add →
// EcallAdd, MY_STRUCT → MyStruct, IOVEC → IOVEC.
func exported(name string) string {
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '_' })
	loud := len(parts) > 1 && name == strings.ToUpper(name)
	var b strings.Builder
	for _, part := range parts {
		if loud {
			part = strings.ToLower(part)
		}
		b.WriteString(capital(part))
	}
	return letterFirst(b.String())
}

// capital returns s with its first letter in upper case.
func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return ""
	}
	return string(unicode.ToUpper(r)) + s[n:]
}

// letterFirst makes s begin with a letter.
func letterFirst(s string) string {
	if s == "" || isDigit(s[0]) {
		return "X" + s
	}
	return s
}

// constant returns the Go name of an enum's value: C's own, exported.
func constant(name string) string { return letterFirst(capital(strings.TrimLeft(name, "_"))) }

// better are the names of parameters that Go uses otherwise.
var better = map[string]string{"len": "length", "type": "typ", "string": "text", "func": "function", "range": "span", "map": "table"}

// local returns the Go name of a parameter: root_password_len →
// rootPasswordLen, IV → iv.
func local(name string) string {
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '_' })
	for i, part := range parts {
		switch {
		case i > 0:
			parts[i] = capital(part)
		case part == strings.ToUpper(part):
			parts[i] = strings.ToLower(part)
		default:
			parts[i] = strings.ToLower(part[:1]) + part[1:]
		}
	}
	s := strings.Join(parts, "")
	if s == "" || isDigit(s[0]) {
		s = "x" + s
	}
	if b, ok := better[s]; ok {
		return b
	}
	if token.IsKeyword(s) || predeclared[s] {
		return s + "Arg"
	}
	return s
}

// predeclared are the identifiers that a contract needs with their own meaning.
var predeclared = map[string]bool{
	"ctx": true, "err": true, "context": true, "error": true, "nil": true, "nonul": true, "init": true,
	"bool": true, "byte": true, "rune": true, "uint64": true, "int64": true, "uint32": true, "int32": true,
	"uint16": true, "int16": true, "int8": true, "uint8": true, "float32": true, "float64": true, "int": true, "uint": true,
}

// scope hands out names, each once.
type scope map[string]bool

func (s scope) pick(name string) string {
	id := name
	for i := 2; s[id]; i++ {
		id = name + strconv.Itoa(i)
	}
	s[id] = true
	return id
}
