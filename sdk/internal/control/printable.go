package control

import (
	"strings"
	"unicode"
)

// Printable returns s fit for a log or a terminal: whatever is no printable
// character of Unicode, line ends, escape sequences and changes of direction
// among them, becomes a space, and what is no UTF-8 a question mark.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
}
