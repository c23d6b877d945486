package tracecontext

import (
	"strings"
	"testing"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestParent(t *testing.T) {
	id, span := "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	tests := []struct{ name, in, want string }{
		{"of the recommendation", parent, parent},
		{"not sampled", "00-" + id + "-" + span + "-00", "00-" + id + "-" + span + "-00"},
		{"unknown flags", "00-" + id + "-" + span + "-ff", "00-" + id + "-" + span + "-ff"},
		{"later version", "cc" + parent[2:], parent},
		{"later version, with more", "cc" + parent[2:] + "-what-the-future-holds", parent},
		{"later version, with more at once", "cc" + parent[2:] + ".what", ""},
		{"version 00 with more", parent + "-what", ""},
		{"version 00 with a dash more", parent + "-", ""},
		{"version ff", "ff" + parent[2:], ""},
		{"upper case", strings.ToUpper(parent), ""},
		{"no trace", "00-" + strings.Repeat("0", 32) + "-" + span + "-01", ""},
		{"no span", "00-" + id + "-" + strings.Repeat("0", 16) + "-01", ""},
		{"not hexadecimal", "00-" + id[:31] + "g-" + span + "-01", ""},
		{"other separators", strings.ReplaceAll(parent, "-", "_"), ""},
		{"short", parent[:54], ""},
		{"empty", "", ""},
		{"control characters", parent[:53] + "\n1", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, ok := New(tt.in, "")
			if c.Parent != tt.want || ok != (tt.want != "") {
				t.Errorf("got %q, %v", c.Parent, ok)
			}
		})
	}
}

func TestState(t *testing.T) {
	tests := []struct {
		name, in string
		want     bool
	}{
		{"empty", "", true},
		{"of the recommendation", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", true},
		{"spaces and empty members", "a=1 ,\tb=2,, ,c=3", true},
		{"tenant", "0tenant@system=x", true},
		{"key begins with a digit", "0a=1", false},
		{"system begins with a digit", "a@0b=1", false},
		{"two @", "a@b@c=1", false},
		{"upper case", "A=1", false},
		{"marks", "a_-*/9=1", true},
		{"space in value", "a=1 2", true},
		{"no value", "a=", false},
		{"no =", "a", false},
		{"= in value", "a=b=c", false},
		{"twice", "a=1,a=2", false},
		{"line end", "a=1\nb=2", false},
		{"not ASCII", "a=ü", false},
		{"delete", "a=\x7f", false},
		{"key of 256", strings.Repeat("a", 256) + "=1", true},
		{"key of 257", strings.Repeat("a", 257) + "=1", false},
		{"value of 257", "a=" + strings.Repeat("b", 257), false},
		{"32 members", strings.Repeat(",", 31), true},
		{"33 members", strings.Repeat(",", 32), false},
		{"too long", strings.Repeat(" ", 513), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ValidState(tt.in); got != tt.want {
				t.Errorf("got %v", got)
			}
			if c, ok := New(parent, tt.in); !ok || (c.State == tt.in) != tt.want {
				t.Errorf("New: %+v, %v", c, ok)
			}
		})
	}
}

// FuzzTake: whatever comes, what is taken lies within it, is valid, and is
// written as it was read.
func FuzzTake(f *testing.F) {
	for _, state := range []string{"", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"} {
		c := Context{parent, state}
		b := make([]byte, c.Size())
		c.Put(b)
		f.Add(b)
		f.Add(append(b, "arguments"...))
		f.Add(b[:len(b)-1])
	}
	f.Add([]byte(strings.Repeat("\xff", 600)))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, size, ok := Take(b)
		if size > len(b) || !ok && (c != nil || size != 0) {
			t.Fatalf("%v, %d of %d bytes, %v", c, size, len(b), ok)
		}
		if c == nil {
			return
		}
		if again, valid := New(c.Parent, c.State); !valid || again != *c {
			t.Fatalf("%+v is not valid", c)
		}
		out := make([]byte, c.Size())
		c.Put(out)
		if again, _, _ := Take(out); again == nil || *again != *c {
			t.Fatalf("written as %x, which is %+v", out, again)
		}
	})
}
