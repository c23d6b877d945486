package edl

import (
	"strings"
	"testing"
)

// TestContained: what holds itself has no size, and is told as a fault of the
// EDL.
func TestContained(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"struct", "struct A { struct A a; };", "x.edl:4:21: struct `A' contains itself"},
		{"struct by another", "struct A { struct B b; }; struct B { int x; A a; };", "x.edl:4:21: struct `A' contains itself\nx.edl:4:47: struct `B' contains itself"},
		{"union", "union U { union U u; };", "x.edl:4:19: union `U' contains itself"},
		{"array", "struct A { struct A a[2]; };", "x.edl:4:21: struct `A' contains itself"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := strings.Replace(inEnclave, "%", tt.src+" untrusted { void f([in, out] struct A* a); };", 1)
			e, err := read("x.edl", Options{Dialect: OpenEnclave}, files(src))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.Go("demo", nil); err == nil || err.Error() != tt.want {
				t.Errorf("Go: got:\n%v\nwant:\n%s", err, tt.want)
			}
			if _, err := e.C(1, nil); err == nil || err.Error() != tt.want {
				t.Errorf("C: got:\n%v\nwant:\n%s", err, tt.want)
			}
		})
	}
}
