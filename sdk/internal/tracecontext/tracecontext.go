// Package tracecontext holds a W3C trace context (Recommendation "Trace
// Context", 23 November 2021) and its form on a lane. What comes over a lane was
// chosen by the other side: it is valid, or it is not there.
package tracecontext

import (
	"encoding/binary"
	"strings"
)

// Context is a valid trace context. It is immutable.
type Context struct {
	Parent string // a traceparent of version 00: ParentSize bytes
	State  string // a tracestate, or empty
}

const (
	// ParentSize is the size of a traceparent.
	ParentSize = 55
	// MaxState is the size of the largest tracestate, in bytes: what every
	// implementation has to pass on (section 3.3).
	MaxState = 512
	// maxMembers is how many members a tracestate has at most (section 3.3).
	maxMembers = 32

	header = ParentSize + 2
)

// New returns the context of the values of the two headers. ok is false if
// parent is not valid. A state that is not valid is left out, as section 3.3 says.
func New(parent, state string) (c Context, ok bool) {
	if c.Parent, ok = cleanParent(parent); !ok {
		return Context{}, false
	}
	if ValidState(state) {
		c.State = state
	}
	return c, true
}

// cleanParent checks a traceparent (section 3.2.2). Of a later version, the part
// is taken that version 00 has (section 3.2.4).
func cleanParent(s string) (string, bool) {
	if len(s) < ParentSize || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return "", false
	}
	version, id, span, flags := s[:2], s[3:35], s[36:52], s[53:55]
	switch {
	case !hex(version), !hex(id), !hex(span), !hex(flags), version == "ff":
		return "", false
	case strings.Trim(id, "0") == "", strings.Trim(span, "0") == "":
		return "", false
	case len(s) > ParentSize && (version == "00" || s[ParentSize] != '-'):
		return "", false
	case version == "00":
		return s, true
	}
	return "00" + s[2:ParentSize], true
}

// hex tells whether s consists of lower-case hexadecimal digits.
func hex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// ValidState checks a tracestate (section 3.3), of [MaxState] bytes at most. The
// empty one is valid.
func ValidState(s string) bool {
	if s == "" {
		return true
	}
	if len(s) > MaxState {
		return false
	}
	members := strings.Split(s, ",")
	if len(members) > maxMembers {
		return false
	}
	seen := make(map[string]bool, len(members))
	for _, m := range members {
		if m = strings.Trim(m, " \t"); m == "" {
			continue
		}
		key, value, ok := strings.Cut(m, "=")
		if !ok || !validKey(key) || !validValue(value) || seen[key] {
			return false
		}
		seen[key] = true
	}
	return true
}

// validKey checks the key of a member: simple, or of a tenant and a system.
func validKey(s string) bool {
	tenant, system, multi := strings.Cut(s, "@")
	if !multi {
		return keyPart(s, 256, false)
	}
	return keyPart(tenant, 241, true) && keyPart(system, 14, false)
}

// keyPart checks a part of a key, of most bytes at most; it begins with a letter,
// or if digit is set with a digit.
func keyPart(s string, most int, digit bool) bool {
	if s == "" || len(s) > most {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z':
		case c >= '0' && c <= '9' && (i > 0 || digit):
		case i > 0 && strings.IndexByte("_-*/", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// validValue checks the value of a member.
func validValue(s string) bool {
	if s == "" || len(s) > 256 || s[len(s)-1] == ' ' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == ',' || c == '=' {
			return false
		}
	}
	return true
}

// Size is how many bytes Put writes.
func (c *Context) Size() int { return header + len(c.State) }

// Put writes c before a message:
//
//	 0 parent [55]byte
//	55 n      uint16, little-endian
//	57 state  [n]byte
func (c *Context) Put(b []byte) {
	copy(b, c.Parent)
	binary.LittleEndian.PutUint16(b[ParentSize:], uint16(len(c.State)))
	copy(b[header:], c.State)
}

// Take reads what Put wrote from the beginning of b, which the other side chose,
// and returns how long it is. c is nil if it is not valid; ok is false if it is
// so malformed that nobody knows where it ends.
func Take(b []byte) (c *Context, size int, ok bool) {
	if len(b) < header {
		return nil, 0, false
	}
	n := int(binary.LittleEndian.Uint16(b[ParentSize:]))
	if n > MaxState || n > len(b)-header {
		return nil, 0, false
	}
	got, valid := New(string(b[:ParentSize]), string(b[header:header+n]))
	if !valid {
		return nil, header + n, true
	}
	return &got, header + n, true
}
