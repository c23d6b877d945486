package edl

import (
	"io/fs"
	"strings"
	"testing"
)

// The places of a snippet: the fourth line of a file, in which the ECALL root
// is declared before, or a whole file.
const (
	inTrusted   = "enclave {\ntrusted {\npublic void root();\n%\n};\n};\n"
	inUntrusted = "enclave {\ntrusted { public void root(); };\nuntrusted {\n%\n};\n};\n"
	inEnclave   = "enclave {\ntrusted { public void root(); };\n\n%\n};\n"
	wholeFile   = "%"
)

// others are the files that snippets import.
var others = map[string]string{
	"lib.edl":    "enclave { struct Lib { int a; }; trusted { public void lib_call(); }; };",
	"circle.edl": "enclave { from \"back.edl\" import *; };",
	"back.edl":   "enclave { from \"circle.edl\" import *; };",
}

// files returns a reader of src as x.edl and of others.
func files(src string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if name == "x.edl" {
			return []byte(src), nil
		}
		text, ok := others[name]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(text), nil
	}
}

// refuse returns what reading src in a dialect has to say, a line each, without
// the name of the file.
func refuse(src string, o Options) string {
	_, err := read("x.edl", o, files(src))
	if err == nil {
		return ""
	}
	return strings.ReplaceAll("\n"+err.Error(), "\nx.edl:", "\n")[1:]
}

// TestRefuse: what each dialect refuses, in which words and where. An empty
// text means that the dialect accepts it.
func TestRefuse(t *testing.T) {
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			src := strings.Replace(tt.place, "%", tt.src, 1)
			for dialect, want := range map[Dialect]string{SGX: tt.sgx, OpenEnclave: tt.openEnclave, SecGear: tt.sgx} {
				if dialect == SecGear && strings.Contains(want, "no public root ECALL") {
					want = ""
				}
				if got := refuse(src, Options{Dialect: dialect}); got != want {
					t.Errorf("%v:\ngot:\n%s\nwant:\n%s", dialect, got, want)
				}
			}
		})
	}
}

// TestTrustZone: what secGear refuses for TrustZone only.
func TestTrustZone(t *testing.T) {
	tests := []struct{ name, place, src, want string }{
		{"user_check of an ECALL", inTrusted, "public void f([user_check] int* x);", "4:16: f: Trustzone mode is not support 'user_check' feature"},
		{"user_check of an OCALL", inUntrusted, "void f([user_check] int* x);", "4:9: f: Trustzone mode is not support 'user_check' feature"},
		{"private", inTrusted, "void f();", "4:6: f: Trustzone mode is not support 'private' feature"},
		{"switchless", inTrusted, "public void f() transition_using_threads;", "4:17: f: Trustzone mode is not support 'switchless' feature"},
		{"dllimport", inUntrusted, "[dllimport] void f();", "4:2: f: Trustzone mode is not support dllimport"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := strings.Replace(tt.place, "%", tt.src, 1)
			if got := refuse(src, Options{TrustZone: true}); got != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
			}
			if got := refuse(src, Options{}); got != "" {
				t.Errorf("without TrustZone: %s", got)
			}
		})
	}
}

// TestAllFaults: faults of every kind are reported at once.
func TestAllFaults(t *testing.T) {
	const src = `enclave {
	struct S { [in] int a; int };
	trusted {
		public void f([in] int x, [out] int y);
		public void g(int x;
		public void h() allow(f);
		public void i([in, size=n] char *p);
	};
	enum E { A, A }
	untrusted { void j([in, out, string] int *s); };
};
`
	got := refuse(src, Options{Dialect: SGX})
	for _, line := range []string{
		`2:29: unexpected token: } (expecting identifier)`,
		"4:18: unexpected pointer attributes for `int'",
		"4:30: unexpected pointer attributes for `int'",
		`5:22: unexpected token: ; (expecting ,)`,
		"6:19: the `allow' syntax is invalid for a trusted function (ECALL).",
		"7:27: could not find declaration for `n'.",
		`10:2: unexpected token: untrusted (expecting ;)`,
	} {
		if !strings.Contains(got, line) {
			t.Errorf("%s is missing in\n%s", line, got)
		}
	}
}
