package edl

import (
	"errors"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/idl/model"
)

// warnings returns what reading src and writing its contract warns of, a line
// each, without the name of the file.
func warnings(t *testing.T, src string, o Options) string {
	t.Helper()
	e, err := read("x.edl", o, files(src))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Go("demo", nil); err != nil {
		t.Fatal(err)
	}
	var sorted model.Faults
	if !errors.As(e.Warnings.Err(), &sorted) {
		return ""
	}
	return strings.ReplaceAll("\n"+sorted.Error(), "\nx.edl:", "\n")[1:]
}

// TestWarnings: what each dialect warns of, in which words and where.
func TestWarnings(t *testing.T) {
	const unchecked = "`f': `p' is user_check: its address crosses as a number, and nobody can read what it points to"
	const opaque = "type foo_t is not declared in EDL: it crosses as bytes; declare Go type FooT beside the contract to say what it is"
	tests := []struct{ name, place, src, sgx, openEnclave string }{
		{"nothing", inTrusted, "public void f([in, size=n] void* p, size_t n);", "", ""},
		{"user_check", inTrusted, "public void f([user_check] int* p);", "4:16: " + unchecked, "4:16: " + unchecked},
		{"type of headers", inTrusted, "public void f(foo_t x, foo_t y);", "4:15: " + opaque, "4:15: " + opaque},
		{
			"type of headers that counts", inTrusted, "public void f([in, size=n] char* x, my_len n);",
			"4:37: type my_len is not declared in EDL: it crosses as a uint64, as EDL counts with it; declare Go type MyLen beside the contract to say what it is",
			"4:37: type my_len is not declared in EDL: it crosses as a uint64, as EDL counts with it; declare Go type MyLen beside the contract to say what it is",
		},
		{"well-known type", inTrusted, "public ssize_t f(off_t x);", "", ""},
		{
			"signed size", inTrusted, "public void f([in, size=n] char* x, int n);", "",
			"4:25: Function `f': The size or count parameter `n' should not be signed [-Wsigned-size-or-count].",
		},
		{
			"signed count of a member", inEnclave, "struct S { [count=n] char* x; long n; }; untrusted { void f([in] struct S* s); };", "",
			"4:19: struct `S': The size or count parameter `n' should not be signed [-Wsigned-size-or-count].",
		},
		{"unsigned size", inTrusted, "public void f([in, size=n] char* x, unsigned n);", "", ""},
		{
			"pointer in a struct", inEnclave, "struct S { char* x; };", "",
			"4:18: struct `S': The member `x' is a pointer that is not serializable. Consider annotating the member with the `count' or `size' attribute [-Wptr-in-struct].",
		},
		{
			"returned pointer", inUntrusted, "void* f();", "",
			"4:1: Function `f': The function returns a pointer, which could expose memory addresses across the host-enclave boundary. Consider passing the pointer as an out parameter instead [-Wreturn-ptr].",
		},
		{
			"type that is not portable", inUntrusted, "void f(unsigned long x, wchar_t y);", "",
			"4:8: Function `f': `unsigned long' has different sizes on Windows and Linux. This enclave cannot be built in Linux and then safely loaded in Windows [-Wnon-portable-type].\n" +
				"4:25: Function `f': `wchar_t' has different sizes on Windows and Linux. This enclave cannot be built in Linux and then safely loaded in Windows [-Wnon-portable-type].",
		},
		{
			"allow", inUntrusted, "void f() allow(root);", "",
			"4:10: Function `f': the `allow' syntax is currently unsupported. Ignored [-Wunsupported-allow].",
		},
		{
			"SDK that is not there", inEnclave, "from \"sgx_tstdc.edl\" import *;",
			"4:6: sgx_tstdc.edl is not there; it belongs to the SDK, whose own functions are not needed here",
			"4:6: sgx_tstdc.edl is not there; it belongs to the SDK, whose own functions are not needed here",
		},
		{
			"enum value of headers", inEnclave, "enum E { A = HEADER };",
			"4:14: `A' is left out, and what follows without a value: HEADER is not known here; give it with -D HEADER=…",
			"4:14: `A' is left out, and what follows without a value: HEADER is not known here; give it with -D HEADER=…",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := strings.Replace(tt.place, "%", tt.src, 1)
			for dialect, want := range map[Dialect]string{SGX: tt.sgx, SecGear: tt.sgx, OpenEnclave: tt.openEnclave} {
				if got := warnings(t, src, Options{Dialect: dialect}); got != want {
					t.Errorf("%v:\ngot:\n%s\nwant:\n%s", dialect, got, want)
				}
			}
		})
	}
}

// TestWarningsOfOne: what only one of the dialects accepts at all.
func TestWarningsOfOne(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		src  string
		want string
	}{
		{
			"private that nobody allows",
			Options{Dialect: SGX},
			strings.Replace(inTrusted, "%", "void f();", 1),
			"4:6: private ECALL `f' is not used by any OCALL",
		},
		{
			"struct without its tag",
			Options{Dialect: SGX},
			strings.Replace(inEnclave, "%", "struct S { int a; }; untrusted { void f(S s); };", 1),
			"4:41: `S' in function `f' is a structure. Use `struct S' instead.",
		},
		{
			"struct with pointers by value",
			Options{Dialect: SGX},
			strings.Replace(inEnclave, "%", "struct S { int* a; }; untrusted { void f(struct S s); };", 1),
			"4:42: the structure \"S\" is referenced by value in function \"f\". Part of the data may not be copied.",
		},
		{
			"pointer without attributes",
			Options{Dialect: OpenEnclave},
			strings.Replace(inUntrusted, "%", "void f(int* p);", 1),
			"4:13: Function `f': `p' is a pointer that is not serializable. Consider annotating the parameter with the direction annotation [-Wptr-in-function].",
		},
		{
			"pointer to a foreign type",
			Options{Dialect: OpenEnclave},
			strings.Replace(inUntrusted, "%", "void f([in, size=4] struct T* p);", 1),
			"4:31: Function `f': `p' is a pointer of a foreign type `T' that may not be serializable. Consider defining the type in the EDL file with proper annotations [-Wforeign-type-ptr].",
		},
		{
			"list",
			Options{},
			strings.Replace(inEnclave, "%", "struct S { [count=1] struct S* next; };", 1),
			"4:32: struct `S': `next' leads back to the struct that it is in, and is not followed: its address crosses as a number",
		},
		{
			"calling convention for TrustZone",
			Options{TrustZone: true},
			strings.Replace(inUntrusted, "%", "[cdecl] void f() allow(root);", 1),
			"4:2: f: Trustzone mode is not support Calling convention cdecl for ocalls\n" +
				"4:18: f: Reentrant ocalls are not supported. Allow list ignored.",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := warnings(t, tt.src, tt.o); got != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}
}
