package edl

// refusals are what the dialects refuse. The texts are those of the original
// generators where these have one of their own, and in substance else.
var refusals = []struct{ name, place, src, sgx, openEnclave string }{
	{
		"in on a plain type", inTrusted, "public void f([in] int x);",
		"4:16: unexpected pointer attributes for `int'",
		"4:16: unexpected pointer attributes for `int'",
	},
	{
		"in on a foreign type", inTrusted, "public void f([in] mytype x);",
		"4:16: `mytype' is considered plain type but decorated with pointer attributes",
		"4:16: `in' is invalid for plain type `mytype'",
	},
	{
		"out on a foreign type", inTrusted, "public void f([out] mytype x);",
		"4:16: `mytype' is considered plain type but decorated with pointer attributes",
		"4:16: `out' is invalid for plain type `mytype'",
	},
	{
		"user_check on a plain type", inTrusted, "public void f([user_check] mytype x);",
		"4:16: `mytype' is considered plain type but decorated with pointer attributes",
		"4:16: `user_check' attribute is invalid for plain type `mytype'",
	},
	{
		"user_check with in", inTrusted, "public void f([user_check, in] int* x);",
		"4:16: pointer direction and `user_check' are mutual exclusive",
		"4:16: pointer direction and `user_check' are mutually exclusive",
	},
	{
		"user_check with out", inTrusted, "public void f([user_check, out] int* x);",
		"4:16: pointer direction and `user_check' are mutual exclusive",
		"4:16: pointer direction and `user_check' are mutually exclusive",
	},
	{
		"user_check with both", inTrusted, "public void f([in, out, user_check] int* x);",
		"4:16: pointer direction and `user_check' are mutual exclusive",
		"4:25: pointer direction and `user_check' are mutually exclusive",
	},
	{
		"user_check with size", inTrusted, "public void f([user_check, size=1] int* x);",
		"4:16: size/string attributes must be used with pointer direction",
		"4:28: size/count attributes must be used with pointer direction",
	},
	{
		"user_check with count", inTrusted, "public void f([user_check, count=1] int* x);",
		"4:16: size/string attributes must be used with pointer direction",
		"4:28: size/count attributes must be used with pointer direction",
	},
	{
		"user_check with string", inTrusted, "public void f([user_check, string] char* x);",
		"4:16: size/string attributes must be used with pointer direction",
		"4:28: string/wstring attributes must be used with pointer direction",
	},
	{
		"user_check with wstring", inTrusted, "public void f([user_check, wstring] wchar_t* x);",
		"4:16: size/string attributes must be used with pointer direction",
		"4:28: string/wstring attributes must be used with pointer direction",
	},
	{
		"string out only", inUntrusted, "void f([out, string] char* s);",
		"4:9: string/wstring should be used with an `in' attribute",
		"4:14: string/wstring attribute should be used with an `in' attribute",
	},
	{
		"wstring out only", inUntrusted, "void f([out, wstring] wchar_t* s);",
		"4:9: string/wstring should be used with an `in' attribute",
		"4:14: string/wstring attribute should be used with an `in' attribute",
	},
	{
		"string without direction", inUntrusted, "void f([string] char* s);",
		"4:9: size/string attributes must be used with pointer direction",
		"4:9: string/wstring attributes must be used with pointer direction",
	},
	{
		"wstring without direction", inUntrusted, "void f([wstring] wchar_t* s);",
		"4:9: size/string attributes must be used with pointer direction",
		"4:9: string/wstring attributes must be used with pointer direction",
	},
	{
		"string with count", inUntrusted, "void f([in, string, count=1] char* s);",
		"4:9: size attributes are mutual exclusive with (w)string attribute",
		"4:13: size attributes are mutually exclusive with (w)string attribute",
	},
	{
		"string with size", inUntrusted, "void f([in, string, size=1] char* s);",
		"4:9: size attributes are mutual exclusive with (w)string attribute",
		"4:13: size attributes are mutually exclusive with (w)string attribute",
	},
	{
		"wstring with count", inUntrusted, "void f([in, wstring, count=1] wchar_t* s);",
		"4:9: size attributes are mutual exclusive with (w)string attribute",
		"4:13: size attributes are mutually exclusive with (w)string attribute",
	},
	{
		"wstring with size", inUntrusted, "void f([in, wstring, size=1] wchar_t* s);",
		"4:9: size attributes are mutual exclusive with (w)string attribute",
		"4:13: size attributes are mutually exclusive with (w)string attribute",
	},
	{
		"string and wstring", inUntrusted, "void f([in, string, wstring] char* s);",
		"4:9: `string' and `wstring' are mutual exclusive",
		"4:13: `string' and `wstring' are mutually exclusive\n4:21: `string' and `wstring' are mutually exclusive",
	},
	{
		"string that is no pointer", inUntrusted, "void f([in, string] char s);",
		"4:9: unexpected pointer attributes for `char'",
		"4:9: unexpected pointer attributes for `char'\n4:13: invalid `string' attribute - `s' is not char pointer",
	},
	{
		"string of integers", inUntrusted, "void f([in, string] int* s);",
		"4:13: `f': invalid 'string' attribute - `s' is not char pointer.",
		"4:13: invalid `string' attribute - `s' is not char pointer",
	},
	{
		"string of a pointer to pointers", inUntrusted, "void f([in, string] char** s);",
		"4:13: `f': invalid 'string' attribute - `s' is not char pointer.",
		"4:13: invalid `string' attribute - `s' is not char pointer",
	},
	{
		"wstring that is no pointer", inUntrusted, "void f([in, wstring] wchar_t s);",
		"4:9: unexpected pointer attributes for `wchar_t'",
		"4:9: unexpected pointer attributes for `wchar_t'\n4:13: invalid `wstring' attribute - `s' is not wchar_t pointer",
	},
	{
		"wstring of char", inUntrusted, "void f([in, wstring] char* s);",
		"4:13: `f': invalid 'wstring' attribute - `s' is not wchar_t pointer.",
		"4:13: invalid `wstring' attribute - `s' is not wchar_t pointer",
	},
	{
		"isary and isptr", inTrusted, "public void f([in, isary, isptr] mytype x);",
		"4:20: `isary' cannot be used with `isptr' together",
		"4:20: `isary' cannot be used with `isptr' together\n4:27: `isary' cannot be used with `isptr' together",
	},
	{
		"isary without direction", inTrusted, "public void f([isary] mytype x);",
		"4:16: array must have direction attribute or `user_check'",
		"4:16: `isary' should have direction attribute or `user_check'",
	},
	{
		"isptr without direction", inTrusted, "public void f([isptr] mytype x);",
		"4:16: pointer/array should have direction attribute or `user_check'",
		"4:16: `isptr' should have direction attribute or `user_check'",
	},
	{
		"isary on int", inTrusted, "public void f([in, isary] int x);",
		"4:20: 'isary' attributes are only for user defined type, not for `int'.",
		"4:20: `isary' attribute is only valid for user defined type, not for `int'",
	},
	{
		"isary on a pointer", inTrusted, "public void f([in, isary] int* x);",
		"4:20: 'isary' attributes are only for user defined type, not for `int*'.",
		"4:20: `isary' attribute is only valid for user defined type, not for `int*'",
	},
	{
		"isary on a pointer to a foreign type", inTrusted, "public void f([in, isary] mytype* x);",
		"4:20: 'isary' attributes are only for user defined type, not for `mytype*'.",
		"4:20: `isary' attribute is only valid for user defined type, not for `mytype*'",
	},
	{
		"isptr on int", inTrusted, "public void f([in, isptr] int x);",
		"4:20: 'isptr' attributes are only for user defined type, not for `int'.",
		"4:20: `isptr' attribute is only valid for user defined type, not for `int'",
	},
	{
		"isptr on a pointer", inTrusted, "public void f([in, isptr] int* x);",
		"4:20: 'isptr' attributes are only for user defined type, not for `int*'.",
		"4:20: `isptr' attribute is only valid for user defined type, not for `int*'",
	},
	{
		"isptr on a pointer to a foreign type", inTrusted, "public void f([in, isptr] mytype* x);",
		"4:20: 'isptr' attributes are only for user defined type, not for `mytype*'.",
		"4:20: `isptr' attribute is only valid for user defined type, not for `mytype*'",
	},
	{
		"isptr on an array", inTrusted, "public void f([in, isptr] mytype x[8]);",
		"4:34: `f': Pointer array not allowed - `x' is a pointer array.",
		"4:20: invalid parameter - `x' is a pointer array",
	},
	{
		"isary with size", inTrusted, "public void f([in, isary, size=4] mytype x);",
		"4:20: Pointer size attributes cannot be used with foreign array",
		"",
	},
	{
		"isary with string", inTrusted, "public void f([in, isary, string] mytype x);",
		"4:20: `isary' cannot be used with `string/wstring' together",
		"4:27: invalid `string' attribute - `x' is not char pointer",
	},
	{
		"isary on a declared array", inTrusted, "public void f([in, isary] mytype x[3]);",
		"4:20: `f': invalid 'isary' attribute - `x' is explicitly declared array.",
		"",
	},
	{
		"readonly", inTrusted, "public void f([in, readonly] mytype x);",
		"4:20: 'readonly' attribute is only used with 'isptr' attribute.",
		"4:20: unknown attribute: `readonly'",
	},
	{
		"readonly on int", inTrusted, "public void f([in, readonly] int* x);",
		"4:20: 'readonly' attributes are only for user defined type, not for `int*'.",
		"4:20: unknown attribute: `readonly'",
	},
	{
		"readonly isptr out", inTrusted, "public void f([out, isptr, readonly, size=4] mytype x);",
		"4:16: `f': `x' is readonly - cannot be used with `out'",
		"4:28: unknown attribute: `readonly'",
	},
	{
		"const out", inTrusted, "public void f([out] const int* x);",
		"4:16: `f': `x' is readonly - cannot be used with `out'",
		"",
	},
	{
		"const void out", inTrusted, "public void f([out, size=4] const void* x);",
		"4:16: `f': `x' is readonly - cannot be used with `out'",
		"",
	},
	{
		"const by value", inTrusted, "public void f(const int x);",
		"4:25: unexpected token: x (expecting * after a const type)",
		"",
	},
	{
		"in array of pointers", inTrusted, "public void f([in] int* x[8]);",
		"4:25: `f': Pointer array not allowed - `x' is a pointer array.",
		"4:16: invalid parameter - `x' is a pointer array",
	},
	{
		"out array of pointers", inTrusted, "public void f([out] mytype* x[8]);",
		"4:29: `f': Pointer array not allowed - `x' is a pointer array.",
		"4:16: invalid parameter - `x' is a pointer array",
	},
	{
		"in,out array of pointers", inTrusted, "public void f([in, out] mytype* x[8]);",
		"4:33: `f': Pointer array not allowed - `x' is a pointer array.",
		"4:16: invalid parameter - `x' is a pointer array\n4:20: invalid parameter - `x' is a pointer array",
	},
	{
		"count without direction", inTrusted, "public void f([count=1] int* x);",
		"4:16: size/string attributes must be used with pointer direction",
		"4:16: size/count attributes must be used with pointer direction",
	},
	{
		"size without direction", inTrusted, "public void f([size=1] int* x);",
		"4:16: size/string attributes must be used with pointer direction",
		"4:16: size/count attributes must be used with pointer direction",
	},
	{
		"count on int", inTrusted, "public void f([in, count=1] int x);",
		"4:16: unexpected pointer attributes for `int'",
		"4:16: unexpected pointer attributes for `int'\n4:20: unexpected pointer attributes for `int'",
	},
	{
		"size on a foreign type", inTrusted, "public void f([in, size=1] mytype x);",
		"4:16: `mytype' is considered plain type but decorated with pointer attributes",
		"4:16: `in' is invalid for plain type `mytype'\n4:20: `size' is invalid for plain type `mytype'",
	},
	{
		"count on a foreign type", inTrusted, "public void f([in, count=1] mytype x);",
		"4:16: `mytype' is considered plain type but decorated with pointer attributes",
		"4:16: `in' is invalid for plain type `mytype'\n4:20: `count' is invalid for plain type `mytype'",
	},
	{
		"count of nothing", inTrusted, "public void f([in, count=n] int* x);",
		"4:26: could not find declaration for `n'.",
		"4:26: could not find declaration for `n'.",
	},
	{
		"size of nothing", inTrusted, "public void f([in, size=n] int* x);",
		"4:25: could not find declaration for `n'.",
		"4:25: could not find declaration for `n'.",
	},
	{
		"count that is a pointer", inTrusted, "public void f([in, count=n] int* x, [in] int* n);",
		"4:26: size/count has invalid type.",
		"4:26: size/count has invalid type.",
	},
	{
		"size that is a pointer", inTrusted, "public void f([in, size=n] int* x, [in] size_t* n);",
		"4:25: size/count has invalid type.",
		"4:25: size/count has invalid type.",
	},
	{
		"size that is an array", inTrusted, "public void f([in, size=n] int* x, [in] int n[2]);",
		"4:25: size/count has invalid type.",
		"4:25: size/count has invalid type.",
	},
	{
		"size that is a float", inTrusted, "public void f([in, size=n] int* x, float n);",
		"4:25: size/count has invalid type.",
		"4:25: size/count has invalid type.",
	},
	{
		"size that is a struct", inTrusted, "public void f([in, size=n] int* x, struct S n);",
		"4:25: size/count has invalid type.",
		"4:25: size/count has invalid type.",
	},
	{
		"size that is a union", inTrusted, "public void f([in, size=n] int* x, union S n);",
		"4:25: size/count has invalid type.",
		"4:25: size/count has invalid type.",
	},
	{
		"negative size", inTrusted, "public void f([in, size=-1] int* x);",
		"4:25: unexpected token: - (expecting integer)",
		"4:25: expecting integer, got -",
	},
	{
		"negative count", inTrusted, "public void f([in, count=-n] int* x, int n);",
		"4:26: unexpected token: - (expecting integer)",
		"4:26: expecting integer, got -",
	},
	{
		"size too large", inTrusted, "public void f([in, size=99999999999999999999] int* x);",
		"4:25: 99999999999999999999 is too large",
		"4:25: 99999999999999999999 is too large",
	},
	{
		"size without a value", inTrusted, "public void f([in, size] int* x);",
		"4:20: `size' needs a value: size=…",
		"4:20: expecting = after `size'",
	},
	{
		"size and count", inTrusted, "public void f([in, size=n, count=m] int* x, size_t n, size_t m);",
		"",
		"4:28: Function `f': simultaneous `size' and `count' parameters `size' and `count' are not supported by oeedger8r.",
	},
	{
		"size on an array", inTrusted, "public void f([in, size=4] int x[3]);",
		"4:20: `f': invalid 'size' attribute - `x' is explicitly declared array.",
		"",
	},
	{
		"count on an array", inTrusted, "public void f([in, count=4] int x[3]);",
		"4:20: `f': invalid 'count' attribute - `x' is explicitly declared array.",
		"",
	},
	{
		"sizefunc", inTrusted, "public void f([in, sizefunc=g] int* x);",
		"4:20: The attribute 'sizefunc' is deprecated. Please use 'size' attribute instead.",
		"4:20: The attribute 'sizefunc' is deprecated. Please use 'size' attribute instead.",
	},
	{
		"unknown attribute", inTrusted, "public void f([inn] int* x);",
		"4:16: unknown attribute: inn",
		"4:16: unknown attribute: `inn'",
	},
	{
		"no attribute", inTrusted, "public void f([] int* x);",
		"4:15: no attribute specified.",
		"4:15: no attribute specified.",
	},
	{
		"in twice", inTrusted, "public void f([in, in] int* x);",
		"4:20: duplicated attribute: `in'",
		"4:20: duplicated attribute: `in'",
	},
	{
		"out twice", inTrusted, "public void f([out, in, out] int* x);",
		"4:25: duplicated attribute: `out'",
		"4:25: duplicated attribute: `out'",
	},
	{
		"size twice", inTrusted, "public void f([in, size=1, size=2] int* x);",
		"",
		"4:28: duplicated attribute: `size'",
	},
	{
		"in with a value", inTrusted, "public void f([in=1] int* x);",
		"",
		"4:16: expecting , after `in'",
	},
	{
		"pointer without attributes", inTrusted, "public void f(int* x);",
		"4:15: pointer/array should have direction attribute or `user_check'",
		"",
	},
	{
		"array without attributes", inTrusted, "public void f(int x[3]);",
		"4:15: pointer/array should have direction attribute or `user_check'",
		"",
	},
	{
		"void pointer without size", inTrusted, "public void f([in] void* x);",
		"4:26: `f': void pointer `x' - buffer size unknown",
		"",
	},
	{
		"void pointer with count only", inTrusted, "public void f([in, count=3] void* x);",
		"4:35: `f': void pointer `x' - buffer size unknown",
		"",
	},
	{
		"void parameter", inTrusted, "public void f(void x);",
		"4:20: parameter `x' has `void' type.",
		"",
	},
	{
		"void parameter after another", inTrusted, "public void f(int x, void y);",
		"4:27: parameter `y' has `void' type.",
		"",
	},
	{
		"flexible array", inTrusted, "public void f([in] int x[]);",
		"4:25: Flexible array is not supported.",
		"4:25: expecting array dimension, got ]",
	},
	{
		"array of length 0", inTrusted, "public void f([in] int x[0]);",
		"4:26: Zero-length array is not supported.",
		"",
	},
	{
		"array of unknown length", inTrusted, "public void f([in] int x[N]);",
		"4:26: unexpected token: N (expecting a number)",
		"",
	},
	{
		"returning an array", inTrusted, "public int[4] f();",
		"4:15: f: returning an array is not supported - use pointer instead.",
		"4:15: f: returning an array is not supported - use pointer instead.",
	},
	{
		"parameter twice", inTrusted, "public void f(int x, int x);",
		"4:26: duplicate parameter `x'",
		"4:26: duplicate parameter `x'",
	},
	{
		"private", inTrusted, "void f();",
		"",
		"4:6: Function `f': `private' specifier is not supported by oeedger8r",
	},
	{
		"only private", wholeFile, "enclave { trusted { void f(); }; };",
		"1:1: the enclave `x' contains no public root ECALL.",
		"1:26: Function `f': `private' specifier is not supported by oeedger8r",
	},
	{
		"no ECALL", wholeFile, "enclave { untrusted { void f(); }; };",
		"1:1: the enclave `x' contains no public root ECALL.",
		"",
	},
	{
		"allow on an ECALL", inTrusted, "public void f() allow(root);",
		"4:17: the `allow' syntax is invalid for a trusted function (ECALL).",
		"4:17: the `allow' syntax is invalid for a trusted function (ECALL).",
	},
	{
		"allow of nothing", inUntrusted, "void f() allow(nobody);",
		"4:16: \"f\" declared to allow unknown function \"nobody\".",
		"",
	},
	{
		"allow of an OCALL", inUntrusted, "void f() allow(f);",
		"4:16: \"f\" declared to allow unknown function \"f\".",
		"",
	},
	{
		"two calling conventions", inUntrusted, "[cdecl, stdcall] void f();",
		"4:9: unexpected `stdcall',  conflict with `CDECL'.",
		"4:1: expecting typename, got [",
	},
	{
		"unknown function attribute", inUntrusted, "[fast] void f();",
		"4:2: invalid function attribute: fast",
		"4:1: expecting typename, got [",
	},
	{
		"dllimport twice", inUntrusted, "[dllimport, dllimport] void f();",
		"4:13: duplicated attribute: `dllimport'",
		"4:1: expecting typename, got [",
	},
	{
		"function attribute", inUntrusted, "[cdecl] void f();",
		"",
		"4:1: expecting typename, got [",
	},
	{
		"function attribute of an ECALL", inTrusted, "[cdecl] public void f();",
		"4:1: unexpected token: [ (expecting typename)",
		"4:1: expecting typename, got [",
	},
	{
		"propagate_errno of an ECALL", inTrusted, "public void f() propagate_errno;",
		"4:17: unexpected token: propagate_errno (expecting ;)",
		"4:17: expecting ;, got propagate_errno",
	},
	{
		"propagate_errno twice", inUntrusted, "void f() propagate_errno propagate_errno;",
		"4:26: unexpected token: propagate_errno (expecting ;)",
		"4:26: expecting ;, got propagate_errno",
	},
	{
		"ECALL twice", inTrusted, "public void f(); public void f();",
		"4:30: Multiple definition of function \"f\" detected.",
		"4:30: Duplicate function definition detected for f",
	},
	{
		"ECALL and OCALL of one name", inUntrusted, "void root();",
		"4:6: Multiple definition of function \"root\" detected.",
		"4:6: Duplicate function definition detected for root",
	},
	{
		"struct twice", inEnclave, "struct S { int a; }; struct S { int b; };",
		"4:29: duplicated structure definition `S'",
		"4:29: Duplicate type definition detected for S",
	},
	{
		"enum and struct of one name", inEnclave, "enum S { A }; struct S { int b; };",
		"4:22: duplicated definition of type `S'",
		"4:22: Duplicate type definition detected for S",
	},
	{
		"enum value twice", inEnclave, "enum E { A, A };",
		"4:13: duplicate enum value `A'",
		"4:13: duplicate enum value `A'",
	},
	{
		"enum value too large", inEnclave, "enum E { A = 4294967296 };",
		"4:14: 4294967296 does not fit an enum",
		"4:14: 4294967296 does not fit an enum",
	},
	{
		"enum without a semicolon", inEnclave, "enum E { A }",
		"5:1: unexpected token: } (expecting ;)",
		"5:1: expecting ;, got }",
	},
	{
		"member twice", inEnclave, "struct S { int a; int a; };",
		"4:23: duplicate member `a'",
		"4:23: duplicate member `a'",
	},
	{
		"empty struct", inEnclave, "struct S { };",
		"4:12: unexpected token: } (expecting a member)",
		"",
	},
	{
		"struct without a name", inEnclave, "struct { int a; };",
		"4:8: unexpected token: { (expecting struct name)",
		"4:8: expecting struct name, got {",
	},
	{
		"void member", inEnclave, "struct S { void a; };",
		"4:17: parameter `a' has `void' type.",
		"",
	},
	{
		"void member of a union", inEnclave, "union U { void a; };",
		"4:16: union member `a' has `void' type.",
		"",
	},
	{
		"attributes in a union", inEnclave, "union U { [count=5] int* p; };",
		"4:11: unexpected token: [ (members of a union have no attributes)",
		"4:11: attributes are not allowed for unions",
	},
	{
		"attributes in an enum", inEnclave, "enum E { [count=5] A };",
		"4:10: unexpected token: [ (expecting identifier)",
		"4:10: expecting identifier, got [",
	},
	{
		"direction in a struct", inEnclave, "struct S { [in] int* p; };",
		"4:13: direction attribute is not allowed for structure member.",
		"4:13: only `count' and `size' attributes can be specified for struct properties",
	},
	{
		"out in a struct", inEnclave, "struct S { [out, size=4] int* p; };",
		"4:13: direction attribute is not allowed for structure member.",
		"4:13: only `count' and `size' attributes can be specified for struct properties",
	},
	{
		"isptr in a struct", inEnclave, "struct S { [isptr, size=4] int* p; };",
		"4:13: 'isptr' attribute is not allowed for structure member.",
		"4:13: only `count' and `size' attributes can be specified for struct properties",
	},
	{
		"isary in a struct", inEnclave, "struct S { [isary, size=4] mytype p; };",
		"4:13: 'isary' attribute is not allowed for structure member.",
		"4:13: only `count' and `size' attributes can be specified for struct properties",
	},
	{
		"string in a struct", inEnclave, "struct S { [string, size=1] char* p; };",
		"4:13: 'string' attribute is not allowed for structure member.",
		"4:13: only `count' and `size' attributes can be specified for struct properties",
	},
	{
		"wstring in a struct", inEnclave, "struct S { [wstring, size=1] wchar_t* p; };",
		"4:13: 'wstring' attribute is not allowed for structure member.",
		"4:13: only `count' and `size' attributes can be specified for struct properties",
	},
	{
		"user_check in a struct", inEnclave, "struct S { [user_check] int* p; };",
		"4:12: size/count attributes must be used",
		"4:13: only `count' and `size' attributes can be specified for struct properties",
	},
	{
		"readonly in a struct", inEnclave, "struct S { [readonly, size=1] mytype* p; };",
		"4:13: 'readonly' attribute is not allowed for structure member.",
		"4:13: unknown attribute: `readonly'",
	},
	{
		"count on a plain member", inEnclave, "struct S { [count=1] int p; };",
		"4:13: unexpected pointer attributes for `int'",
		"4:13: unexpected pointer attributes for `int'",
	},
	{
		"size on a plain member", inEnclave, "struct S { [size=4] int p; };",
		"4:13: unexpected pointer attributes for `int'",
		"4:13: unexpected pointer attributes for `int'",
	},
	{
		"count on a member of a foreign type", inEnclave, "struct S { [count=1] mytype p; };",
		"4:13: `mytype' is considered plain type but decorated with pointer attributes",
		"4:13: `count' is invalid for plain type `mytype'",
	},
	{
		"size on a member of a foreign type", inEnclave, "struct S { [size=4] mytype p; };",
		"4:13: `mytype' is considered plain type but decorated with pointer attributes",
		"4:13: `size' is invalid for plain type `mytype'",
	},
	{
		"member count of nothing", inEnclave, "struct S { [count=n] int* p; };",
		"4:19: could not find declaration for `n'.",
		"4:19: could not find declaration for `n'.",
	},
	{
		"member size of nothing", inEnclave, "struct S { [size=n] int* p; };",
		"4:18: could not find declaration for `n'.",
		"4:18: could not find declaration for `n'.",
	},
	{
		"member count that is a pointer", inEnclave, "struct S { [count=n] int* p; int* n; };",
		"4:19: size/count has invalid type.",
		"4:19: size/count has invalid type.",
	},
	{
		"member size that is a pointer", inEnclave, "struct S { [size=n] int* p; int* n; };",
		"4:18: size/count has invalid type.",
		"4:18: size/count has invalid type.",
	},
	{
		"member size and a count of nothing", inEnclave, "struct S { size_t n; [size=n, count=m] int* p; };",
		"4:37: could not find declaration for `m'.",
		"4:37: could not find declaration for `m'.",
	},
	{
		"deep struct by value", inEnclave, "struct S { size_t n; [size=n] int* p; }; untrusted { void f(struct S s); };",
		"4:61: the structure declaration \"S\" specifies a deep copy is expected. Referenced by value in function \"f\" detected.",
		"4:61: the structure declaration `S' specifies a deep copy is expected. Referenced by value in function `f' detected.",
	},
	{
		"deep struct by value without its tag", inEnclave, "struct S { size_t n; [size=n] int* p; }; untrusted { void f(S s); };",
		"4:61: `S' in function `f' is a structure and it specifies a deep copy. Use `struct S' instead.",
		"4:61: the structure declaration `S' specifies a deep copy is expected. Referenced by value in function `f' detected.",
	},
	{
		"deep struct out", inEnclave, "struct S { size_t n; [size=n] int* p; }; untrusted { void f([out] struct S* s); };",
		"4:62: the structure declaration \"S\" specifies a deep copy, should not be used with an `out' attribute in function \"f\".",
		"",
	},
	{
		"deep struct without its tag", inEnclave, "struct S { size_t n; [size=n] int* p; }; untrusted { void f([in] S* s); };",
		"4:66: `S' in function `f' is a structure and it specifies a deep copy. Use `struct S' instead.",
		"",
	},
	{
		"deep struct with size", inEnclave, "struct S { size_t n; [size=n] int* p; }; untrusted { void f([in, size=16] struct S* s); };",
		"",
		"4:62: size attributes are invalid for the pointer of an user-defined type `S'",
	},
	{
		"missing semicolon after a function", inTrusted, "public void f()",
		"5:1: unexpected token: } (expecting ;)",
		"5:1: expecting ;, got }",
	},
	{
		"missing name", inTrusted, "public void f(int);",
		"4:18: unexpected token: ) (expecting identifier)",
		"4:18: expecting identifier, got )",
	},
	{
		"missing type", inTrusted, "public f();",
		"4:9: unexpected token: ( (expecting function name)",
		"4:9: expecting function name, got (",
	},
	{
		"missing parenthesis", inTrusted, "public void f(int x;",
		"4:20: unexpected token: ; (expecting ,)",
		"4:20: expecting ,, got ;",
	},
	{
		"comma at the end", inTrusted, "public void f(int x,);",
		"4:21: unexpected token: ) (expecting another element)",
		"",
	},
	{
		"hexadecimal number", inTrusted, "public void f([in, size=0x10] int* x);",
		"4:25: unexpected token: 0x10 (EDL has decimal numbers only)",
		"4:25: unexpected token: 0x10 (EDL has decimal numbers only)",
	},
	{
		"unsigned double", inTrusted, "public void f(unsigned long double x);",
		"4:15: invalid double following unsigned",
		"4:15: invalid double following unsigned",
	},
	{
		"keyword as a name", inTrusted, "public void f(int from);",
		"4:19: unexpected token: from (expecting identifier)",
		"",
	},
	{
		"character that is none", inTrusted, "public void f(int @x);",
		"4:19: invalid token: @",
		"4:19: invalid token: @",
	},
	{
		"string that does not end", inEnclave, "include \"x.h",
		"4:9: invalid token: \"\n4:10: unexpected token: x (expecting header filename)",
		"4:9: invalid token: \"\n4:10: expecting header filename, got x",
	},
	{
		"comment that does not end", inEnclave, "/* comment",
		"4:1: end of file while looking for */\n6:1: unexpected token: end of file (expecting })",
		"4:1: end of file while looking for */\n6:1: expecting }, got end of file",
	},
	{
		"include with a semicolon", inEnclave, "include \"x.h\";",
		"4:14: unexpected token: ;",
		"4:14: unexpected token: ;",
	},
	{
		"include without quotes", inEnclave, "include <x.h>",
		"4:9: unexpected token: < (expecting header filename)",
		"4:9: expecting header filename, got <",
	},
	{
		"import without from", inEnclave, "import \"other.edl\"",
		"4:1: unexpected token: import",
		"4:8: File not found within search paths: other.edl",
	},
	{
		"from without import", inEnclave, "from \"other.edl\";",
		"4:17: unexpected token: ; (expecting import)",
		"4:17: expecting import, got ;",
	},
	{
		"import of what is not there", inEnclave, "from \"other.edl\" import *;",
		"4:6: File not found within search paths: other.edl",
		"4:6: File not found within search paths: other.edl",
	},
	{
		"import of a function that is not there", inEnclave, "from \"lib.edl\" import gone;",
		"4:23: import failed - functions `gone' not found",
		"4:23: function gone not found in imported edl.",
	},
	{
		"import without a semicolon", inEnclave, "from \"lib.edl\" import *",
		"5:1: unexpected token: } (expecting ;)",
		"5:1: expecting ;, got }",
	},
	{
		"imported function again", inEnclave, "from \"lib.edl\" import lib_call; trusted { public void lib_call(); };",
		"4:55: Multiple definition of function \"lib_call\" detected.",
		"4:55: Duplicate function definition detected for lib_call",
	},
	{
		"imported type again", inEnclave, "from \"lib.edl\" import *; struct Lib { int b; };",
		"4:33: duplicated structure definition `Lib'",
		"4:33: Duplicate type definition detected for Lib",
	},
	{
		"import in a circle", inEnclave, "from \"circle.edl\" import *;",
		"back.edl:1:16: detected circled import for `circle.edl'",
		"back.edl:1:16: recursive import detected: x.edl → circle.edl → back.edl → circle.edl",
	},
	{
		"unknown item", inEnclave, "private { void f(); };",
		"4:1: unexpected token: private",
		"4:1: unexpected token: private",
	},
	{
		"text after the enclave", wholeFile, "enclave { trusted { public void f(); }; }; more",
		"1:44: unexpected token: more (expecting end of file)",
		"",
	},
	{
		"no semicolon after the enclave", wholeFile, "enclave { trusted { public void f(); }; }",
		"1:42: unexpected token: end of file (expecting ;)",
		"",
	},
	{
		"no enclave", wholeFile, "trusted { public void f(); };",
		"1:1: unexpected token: trusted (expecting enclave)",
		"1:1: expecting enclave, got trusted",
	},
	{
		"nothing", wholeFile, "",
		"1:1: unexpected token: end of file (expecting enclave)",
		"1:1: expecting enclave, got end of file",
	},
	{
		"unclosed block", wholeFile, "enclave { trusted { public void f();",
		"1:37: unexpected token: end of file (expecting })",
		"1:37: expecting }, got end of file",
	},
	{
		"#endif alone", inEnclave, "#endif",
		"4:1: #endif without a previous #if, #ifdef or #ifndef",
		"4:1: #endif without a previous #if, #ifdef or #ifndef",
	},
	{
		"#else alone", inEnclave, "#else",
		"4:1: #else without a previous #if, #ifdef or #ifndef",
		"4:1: #else without a previous #if, #ifdef or #ifndef",
	},
	{
		"#elif alone", inEnclave, "#elif 1",
		"4:1: #elif without a previous #if, #ifdef or #ifndef",
		"4:1: #elif without a previous #if, #ifdef or #ifndef",
	},
	{
		"#else twice", inEnclave, "#if 1\n#else\n#else\n#endif",
		"6:1: #else after #else",
		"6:1: #else after #else",
	},
	{
		"#ifdef without a name", inEnclave, "#ifdef\n#endif",
		"4:1: a name is missing after #ifdef",
		"4:1: a name is missing after #ifdef",
	},
	{
		"#ifdef without an end", inEnclave, "#ifdef X",
		"4:1: unterminated #if, #ifdef or #ifndef\n6:1: unexpected token: end of file (expecting })",
		"4:1: unterminated #if, #ifdef or #ifndef\n6:1: expecting }, got end of file",
	},
	{
		"#if without an expression", inEnclave, "#if\n#endif",
		"4:1: #if with no expression",
		"4:1: #if with no expression",
	},
	{
		"#if of nonsense", inEnclave, "#if 1 +\n#endif",
		"4:1: unexpected # in the expression",
		"4:1: unexpected # in the expression",
	},
	{
		"#if with too much", inEnclave, "#if 1 2\n#endif",
		"4:7: unexpected 2 in the expression",
		"4:7: unexpected 2 in the expression",
	},
	{
		"#if that divides by zero", inEnclave, "#if 1 / 0\n#endif",
		"4:1: division by zero in the expression",
		"4:1: division by zero in the expression",
	},
	{
		"#if defined of nothing", inEnclave, "#if defined(\n#endif",
		"4:5: unexpected defined in the expression",
		"4:5: unexpected defined in the expression",
	},
	{
		"#define without a name", inEnclave, "#define",
		"4:1: a name is missing after #define",
		"4:1: a name is missing after #define",
	},
	{
		"#undef without a name", inEnclave, "#undef",
		"4:1: a name is missing after #undef",
		"4:1: a name is missing after #undef",
	},
	{
		"#error", inEnclave, "#error \"no way\"",
		"4:1: #error \"no way\"",
		"4:1: #error \"no way\"",
	},
	{
		"unknown directive", inEnclave, "#include_next \"x\"",
		"4:2: unsupported directive include_next",
		"4:2: unsupported directive include_next",
	},
	{
		"recursive macro arguments", inEnclave, "#define F(x) x\nenum E { A = F( };",
		"5:15: a ) is missing after the arguments of a macro\n7:1: unexpected token: end of file (expecting enum value)\n7:1: unexpected token: end of file (expecting })",
		"5:15: a ) is missing after the arguments of a macro\n7:1: expecting enum value, got end of file\n7:1: expecting }, got end of file",
	},
}
