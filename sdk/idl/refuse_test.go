package idl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// header is the first line of every contract in the table below, so that their
// own text begins on line 2.
const header = `package demo; import ("context"; "errors"; "io"; "net/http"; "time"; "unsafe"; "github.com/secgear/secgear/sdk/shm"); ` +
	`var _ = errors.New; var _ io.Reader; var _ http.Header; var _ time.Time; var _ unsafe.Pointer; var _ shm.Buffer` + "\n"

// echo wraps a method into a contract. The method is on line 3, column 2.
func echo(method, rest string) string {
	return "//secgear:ecall\ntype Echo interface {\n\t" + method + "\n}\n" + rest
}

var refusals = []struct {
	name string
	src  string // after header
	want string // every fault, without the folder
}{
	// Signatures.
	{"no context", echo("Do(a int) error", ""), `demo.go:4:2: Echo.Do must take ctx context.Context first; it carries deadline and cancellation across`},
	{"no context, no arguments", echo("Do() error", ""), `demo.go:4:2: Echo.Do must take ctx context.Context first; it carries deadline and cancellation across`},
	{"context second", echo("Do(a int, ctx context.Context) error", ""), `demo.go:4:2: Echo.Do must take ctx context.Context first; it carries deadline and cancellation across
demo.go:4:16: Echo.Do: context.Context is the first argument and nothing else`},
	{"two contexts", echo("Do(ctx, again context.Context) error", ""), `demo.go:4:16: Echo.Do: context.Context is the first argument and nothing else`},
	{"no error", echo("Do(ctx context.Context) int", ""), `demo.go:4:2: Echo.Do must return an error last; any call can fail`},
	{"no results", echo("Do(ctx context.Context)", ""), `demo.go:4:2: Echo.Do must return an error last; any call can fail`},
	{"error first", echo("Do(ctx context.Context) (error, int)", ""), `demo.go:4:2: Echo.Do must return an error last; any call can fail
demo.go:4:27: Echo.Do: an error is the last result and nothing else; send its text, or declare a sentinel with //secgear:error`},
	{"two errors", echo("Do(ctx context.Context) (error, error)", ""), `demo.go:4:27: Echo.Do: an error is the last result and nothing else; send its text, or declare a sentinel with //secgear:error`},
	{"error as argument", echo("Do(ctx context.Context, err error) error", ""), `demo.go:4:30: Echo.Do: an error is the last result and nothing else; send its text, or declare a sentinel with //secgear:error`},
	{"variadic", echo("Do(ctx context.Context, names ...string) error", ""), `demo.go:4:32: Echo.Do: no variable number of arguments; take a slice []string`},
	{"unexported method", echo("do(ctx context.Context) error", ""), `demo.go:4:2: Echo.do must be exported; only its own package could implement it`},
	{"method twice", echo("Do(ctx context.Context) error; Do(ctx context.Context) error", ""), `demo.go:4:33: Echo.Do is declared twice, first at demo.go:4:2`},

	// Contracts.
	{"no methods", "//secgear:ecall\ntype Echo interface{}\n", `demo.go:3:6: Echo has no methods; there is nothing to call`},
	{"embedded interface", echo("io.Reader; Do(context.Context) error; Other", "type Other interface{ F() }"), `demo.go:4:2: Echo embeds io.Reader; write the methods out, so that their order and numbers are plain
demo.go:4:40: Echo embeds Other; write the methods out, so that their order and numbers are plain`},
	{"type set", echo("~int | string", ""), `demo.go:4:2: Echo embeds ~int | string; write the methods out, so that their order and numbers are plain`},
	{"not an interface", "//secgear:ecall\ntype Echo struct{}\n", `demo.go:3:6: contract Echo must be declared as an interface, with its methods written out`},
	{"named after an interface", "//secgear:ocall\ntype Echo Other\ntype Other interface{ Do(context.Context) error }\n", `demo.go:3:6: contract Echo must be declared as an interface, with its methods written out`},
	{"alias", "//secgear:ocall\ntype Echo = interface{ Do(context.Context) error }\n", `demo.go:3:6: contract Echo must be declared as an interface, with its methods written out`},
	{"directives in a generic contract", "//secgear:ecall\ntype Echo[T any] interface {\n\t//secgear:private\n\t//secgear:switched\n\tDo(context.Context, T) error\n}\n//secgear:ocall\ntype Out interface {\n\t//secgear:allow Echo.Do\n\tDo(context.Context) error\n}\n", `demo.go:3:6: contract Echo can't have type parameters; declare an interface for each type`},
	{"directives in what is no interface", "//secgear:ecall\ntype Echo struct {\n\t//secgear:switched\n\tDo int\n}\n", `demo.go:3:6: contract Echo must be declared as an interface, with its methods written out`},
	{"directives in what is embedded", echo("Other", "type Other interface {\n\t//secgear:switched\n\tDo(context.Context) error\n}\n"), `demo.go:4:2: Echo embeds Other; write the methods out, so that their order and numbers are plain`},
	{"directives in both directions", "//secgear:ecall\n//secgear:ocall\ntype Echo interface {\n\t//secgear:private\n\tDo(context.Context) error\n\t//secgear:allow Echo.Do\n\tTo(context.Context) error\n}\n", `demo.go:4:6: Echo is marked both //secgear:ecall and //secgear:ocall; declare an interface for each direction`},
	{"unexported contract", "//secgear:ecall\ntype echo interface{ Do(context.Context) error }\n", `demo.go:3:6: contract echo must be exported, both sides use it`},
	{"generic contract", "//secgear:ecall\ntype Echo[T any] interface{ Do(context.Context, T) error }\n", `demo.go:3:6: contract Echo can't have type parameters; declare an interface for each type`},
	{"both directions", "//secgear:ecall\n//secgear:ocall\ntype Echo interface{ Do(context.Context) error }\n", `demo.go:4:6: Echo is marked both //secgear:ecall and //secgear:ocall; declare an interface for each direction`},
	{"contract twice", echo("Do(context.Context) error", "//secgear:ocall\ntype Echo interface{ Do(context.Context) error }\n"), `demo.go:7:6: contract Echo is declared twice, first at demo.go:3:6`},
	{"no contract", "type Echo interface{ Do(context.Context) error }\n", `demo.go:1:9: package demo has no contract: write //secgear:ecall or //secgear:ocall directly above an interface`},

	// Types.
	{"channel", echo("Do(ctx context.Context, c <-chan int) error", ""), `demo.go:4:28: Echo.Do: <-chan int can't cross the boundary; make several calls, or return what it would deliver as a slice`},
	{"func", echo("Do(ctx context.Context, f func(int) error) error", ""), `demo.go:4:28: Echo.Do: functions can't cross the boundary; declare a contract in the other direction and call that`},
	{"any", echo("Do(ctx context.Context) (any, error)", ""), `demo.go:4:27: Echo.Do: any can't cross the boundary, the other side would not know what is in it; use a type of fixed shape`},
	{"interface", echo("Do(ctx context.Context, s Shape) error", "type Shape interface{ Area() float64 }"), `demo.go:6:12: type Shape: interface{Area() float64} can't cross the boundary, the other side would not know what is in it; use a type of fixed shape`},
	{"interface of another package", echo("Do(ctx context.Context, r io.Reader) error", ""), `demo.go:4:28: Echo.Do: io.Reader is declared in another package; of those only time.Time, time.Duration and shm.Buffer cross, so declare a type here`},
	{"type of another package", echo("Do(ctx context.Context, h map[string][]http.Header) error", ""), `demo.go:4:28: Echo.Do: http.Header is declared in another package; of those only time.Time, time.Duration and shm.Buffer cross, so declare a type here`},
	{"named after another package's", echo("Do(ctx context.Context, h Header) error", "type Header http.Header"), `demo.go:6:13: type Header: http.Header is declared in another package; of those only time.Time, time.Duration and shm.Buffer cross, so declare a type here`},
	{"time.Month", echo("Do(ctx context.Context, m time.Month) error", ""), `demo.go:4:28: Echo.Do: time.Month is declared in another package; of those only time.Time, time.Duration and shm.Buffer cross, so declare a type here`},
	{"undefined", echo("Do(ctx context.Context, a []Missing) error", ""), `demo.go:4:30: Echo.Do: undefined: Missing`},
	{"uintptr", echo("Do(ctx context.Context, a uintptr, b unsafe.Pointer) error", ""), `demo.go:4:28: Echo.Do: uintptr is an address and means nothing on the other side; send what it points to
demo.go:4:39: Echo.Do: unsafe.Pointer is an address and means nothing on the other side; send what it points to`},
	{"complex", echo("Do(ctx context.Context, a complex64, b complex128) error", ""), `demo.go:4:28: Echo.Do: complex64 can't cross the boundary; send its real and imaginary parts
demo.go:4:41: Echo.Do: complex128 can't cross the boundary; send its real and imaginary parts`},
	{"generic struct", echo("Do(ctx context.Context, p Pair[int]) error", "type Pair[T any] struct{ A, B T }"), `demo.go:4:28: Echo.Do: Pair[int] is generic; declare a type of its own for it`},
	{"anonymous struct", echo("Do(ctx context.Context, p struct{ A int }) error", ""), `demo.go:4:28: Echo.Do: a struct needs a name; declare a type for it`},
	{"unexported fields", echo("Do(ctx context.Context, p Person) error", "type Person struct {\n\tName string\n\tage, size int\n\t_ int\n}"), `demo.go:8:2: field age of Person is not exported and would be lost; export it, or declare a struct without it for the contract
demo.go:8:7: field size of Person is not exported and would be lost; export it, or declare a struct without it for the contract
demo.go:9:2: field _ of Person is not exported and would be lost; export it, or declare a struct without it for the contract`},
	{"embedded unexported", echo("Do(ctx context.Context, p Person) error", "type Person struct { base }\ntype base struct{ A int }"), `demo.go:6:22: field base of Person is not exported and would be lost; export it, or declare a struct without it for the contract`},
	{"embedded interface in a struct", echo("Do(ctx context.Context, p Person) error", "type Person struct { io.Reader; Shape }\ntype Shape interface{ Area() }"), `demo.go:6:22: field Reader of Person: io.Reader is declared in another package; of those only time.Time, time.Duration and shm.Buffer cross, so declare a type here
demo.go:7:12: type Shape: interface{Area()} can't cross the boundary, the other side would not know what is in it; use a type of fixed shape`},
	{"fields", echo("Do(ctx context.Context, p Person) error", "type Person struct {\n\tF func()\n\tC, D chan Person\n\tH *http.Client\n\tM Missing\n}"), `demo.go:7:4: field F of Person: functions can't cross the boundary; declare a contract in the other direction and call that
demo.go:8:7: field C of Person: chan Person can't cross the boundary; make several calls, or return what it would deliver as a slice
demo.go:8:7: field D of Person: chan Person can't cross the boundary; make several calls, or return what it would deliver as a slice
demo.go:9:4: field H of Person: http.Client is declared in another package; of those only time.Time, time.Duration and shm.Buffer cross, so declare a type here
demo.go:10:4: field M of Person: undefined: Missing`},
	{"named func", echo("Do(ctx context.Context, f, g Fn) error", "type Fn func()"), `demo.go:6:9: type Fn: functions can't cross the boundary; declare a contract in the other direction and call that`},
	{"pointer to int", echo("Do(ctx context.Context, a *int, b **Person, c *[]int) error", "type Person struct{}"), `demo.go:4:28: *int points to something other than a struct; pass the value itself, or a pointer to a struct that holds it
demo.go:4:36: **Person points to something other than a struct; pass the value itself, or a pointer to a struct that holds it
demo.go:4:48: *[]int points to something other than a struct; pass the value itself, or a pointer to a struct that holds it`},
	{"float key", echo("Do(ctx context.Context, a map[float64]int, b map[bool]int, c map[[2]int]int) error", ""), `demo.go:4:28: map[float64]int has keys of type float64; keys are strings or integers, so send a slice of structs instead
demo.go:4:47: map[bool]int has keys of type bool; keys are strings or integers, so send a slice of structs instead
demo.go:4:63: map[[2]int]int has keys of type [2]int; keys are strings or integers, so send a slice of structs instead`},
	{"named key", echo("Do(ctx context.Context, a map[Person]int, b map[*Person]int, c map[Key]int) error", "type Person struct{ A int }; type Key bool"), `demo.go:4:28: map[Person]int has keys of type Person; keys are strings or integers, so send a slice of structs instead
demo.go:4:46: map[*Person]int has keys of type *Person; keys are strings or integers, so send a slice of structs instead
demo.go:4:65: map[Key]int has keys of type Key; keys are strings or integers, so send a slice of structs instead`},
	{"recursive struct", echo("Do(ctx context.Context, n Node) error", "type Node struct{ Next *Node }"), `demo.go:6:6: Node contains itself (Node → Node); send a slice of elements that refer to each other by index`},
	{"mutually recursive", echo("Do(ctx context.Context, a A, b B) error", "type A struct{ Bs []B }\ntype B struct{ A map[string]*A }"), `demo.go:6:6: A contains itself (A → B → A); send a slice of elements that refer to each other by index`},
	{"recursive slice", echo("Do(ctx context.Context, t Tree) error", "type Tree []Tree"), `demo.go:6:6: Tree contains itself (Tree → Tree); send a slice of elements that refer to each other by index`},
	{"struct in itself", echo("Do(ctx context.Context, n Node) error", "type Node struct{ Next Node }"), `demo.go:6:6: type Node: it contains itself; send a slice of elements that refer to each other by index`},
	{"structs in each other", echo("Do(ctx context.Context, b B) error", "type A struct{ B B }\ntype B struct{ A A }"), `demo.go:7:6: type B: it contains itself; send a slice of elements that refer to each other by index`},
	{"named after itself", echo("Do(ctx context.Context, b B) error", "type A B\ntype B A"), `demo.go:7:8: type B: A is not a valid type`},
	{"elements without content", echo("Do(ctx context.Context, a []struct{}, b []Empty, c [][0]int) error", "type Empty struct{ A [0]int; B struct{} }"), `demo.go:4:28: []struct{} has elements without content; send their number instead
demo.go:4:42: []Empty has elements without content; send their number instead
demo.go:4:53: [][0]int has elements without content; send their number instead`},
	{"buffers in collections", echo("Do(ctx context.Context, a []shm.Buffer, b map[string]Frame, c [2]shm.Buffer) error", "type Frame struct{ B *Inner }\ntype Inner struct{ C shm.Buffer }"), `demo.go:4:28: []shm.Buffer holds any number of shm.Buffer; pass each buffer as an argument, a result or a field of its own
demo.go:4:44: map[string]Frame holds any number of shm.Buffer; pass each buffer as an argument, a result or a field of its own
demo.go:4:64: [2]shm.Buffer holds any number of shm.Buffer; pass each buffer as an argument, a result or a field of its own`},
	{"too large", echo("Do(ctx context.Context, a [1<<40]byte, b []Huge) error", "type Huge struct{ A [1<<20][1<<20]int }"), `demo.go:4:28: [1099511627776]byte takes at least 1099511627776 bytes, more than any lane holds; use slices instead of arrays
demo.go:6:21: [1048576][1048576]int takes at least 8796093022208 bytes, more than any lane holds; use slices instead of arrays`},
	{"too large together", echo("Do(ctx context.Context, a, b [1<<29+1]byte) error", ""), `demo.go:4:2: Echo.Do: its arguments take at least 1073741826 bytes, more than any lane holds; use slices instead of arrays`},
	{"unknown length", echo("Do(ctx context.Context, a [http.Missing]byte, b [N]byte) error", "var N = 3"), `demo.go:4:29: Echo.Do: the array length http.Missing can't be made out; write the number
demo.go:4:51: Echo.Do: the array length N can't be made out; write the number`},

	// Directives.
	{"unknown directive", "//secgear:ecal\ntype Echo interface{ Do(context.Context) error }\n", `demo.go:2:1: unknown directive //secgear:ecal; there are ecall, ocall, switched, check, private, allow and error`},
	{"directive with arguments", "//secgear:ecall public\ntype Echo interface{ Do(context.Context) error }\n", `demo.go:2:1: //secgear:ecall takes no arguments; remove "public"`},
	{"directive with a space", "// secgear:ecall\ntype Echo interface{ Do(context.Context) error }\n", `demo.go:2:1: this is a comment; the directive is written //secgear:ecall, without a space and in lower case`},
	{"directive in a block comment", "/* secgear:ecall */\ntype Echo interface{ Do(context.Context) error }\n", `demo.go:2:1: this is a comment; the directive is written //secgear:ecall, without a space and in lower case`},
	{"directive in capitals", "//secgear:ECALL\ntype Echo interface{ Do(context.Context) error }\n", `demo.go:2:1: unknown directive //secgear:ECALL; there are ecall, ocall, switched, check, private, allow and error`},
	{"directive on a func", echo("Do(context.Context) error", "//secgear:ecall\nfunc F() {}\n"), `demo.go:6:1: //secgear:ecall belongs directly above an interface type, in its doc comment`},
	{"directive apart", "//secgear:ecall\n\ntype Echo interface{ Do(context.Context) error }\n", `demo.go:2:1: //secgear:ecall belongs directly above an interface type, in its doc comment`},
	{"directive behind", "type Echo interface{ Do(context.Context) error } //secgear:ecall\n", `demo.go:2:50: //secgear:ecall belongs directly above an interface type, in its doc comment`},
	{"directive on a group", "//secgear:ecall\ntype (\n\tEcho interface{ Do(context.Context) error }\n)\n", `demo.go:2:1: //secgear:ecall belongs directly above an interface type, in its doc comment`},
	{"ecall on a method", echo("//secgear:ecall\n\tDo(context.Context) error", ""), `demo.go:4:2: //secgear:ecall belongs directly above an interface type, in its doc comment`},
	{"switched on a contract", "//secgear:ecall\n//secgear:switched\ntype Echo interface{ Do(context.Context) error }\n", `demo.go:3:1: //secgear:switched belongs directly above a method of a contract, in its doc comment`},
	{"switched outside a contract", echo("Do(context.Context) error", "type Other interface {\n\t//secgear:switched\n\tDo()\n}\n"), `demo.go:7:2: //secgear:switched belongs directly above a method of a contract, in its doc comment`},
	{"switched behind", echo("Do(context.Context) error //secgear:switched", ""), `demo.go:4:28: //secgear:switched belongs directly above a method of a contract, in its doc comment`},
	{"error on a type", echo("Do(context.Context) error", "//secgear:error\ntype E struct{}\n"), `demo.go:6:1: //secgear:error belongs directly above a var declaration of errors, in its doc comment`},
	{"error on a const", echo("Do(context.Context) error", "//secgear:error\nconst E = 1\n"), `demo.go:6:1: //secgear:error belongs directly above a var declaration of errors, in its doc comment`},
	{"error within a func", echo("Do(context.Context) error", "func F() {\n\t//secgear:error\n\tvar Err = errors.New(\"\")\n\t_ = Err\n}\n"), `demo.go:7:2: //secgear:error belongs directly above a var declaration of errors, in its doc comment`},

	// Sentinels.
	{"not an error", echo("Do(context.Context) error", "//secgear:error\nvar Err = 1\n"), `demo.go:7:5: sentinel Err is int and not an error`},
	{"not quite an error", echo("Do(context.Context) error", "//secgear:error\nvar Err = fault{}\ntype fault struct{}\nfunc (*fault) Error() string { return \"\" }\n"), `demo.go:7:5: sentinel Err is fault and not an error`},
	{"no value", echo("Do(context.Context) error", "//secgear:error\nvar Err error\n"), `demo.go:7:5: sentinel Err has no value; write Err = errors.New("…")`},
	{"blank", echo("Do(context.Context) error", "//secgear:error\nvar _ = errors.New(\"\")\n"), `demo.go:7:5: a sentinel needs a name`},
	{"unexported sentinel", echo("Do(context.Context) error", "//secgear:error\nvar (\n\tErrA = errors.New(\"a\")\n\terrB = errors.New(\"b\")\n)\n"), `demo.go:9:2: sentinel errB must be exported, both sides compare errors with it`},
	{"of another package", echo("Do(context.Context) error", "//secgear:error\nvar (\n\tErrA = http.ErrServerClosed\n\tErrB, ErrC = http.Errors()\n)\n"), `demo.go:8:2: can't tell that ErrA is an error; write var ErrA error = http.ErrServerClosed
demo.go:9:2: can't tell that ErrB is an error; write var ErrB error = …
demo.go:9:8: can't tell that ErrC is an error; write var ErrC error = …`},

	// Names.
	{"client taken", echo("Do(context.Context) error", "type EchoClient struct{}\nfunc NewEchoClient() {}\nfunc RegisterEcho() {}\nvar EchoDoCall int"), `demo.go:6:6: EchoClient is generated for contract Echo; rename this one
demo.go:7:6: NewEchoClient is generated for contract Echo; rename this one
demo.go:8:6: RegisterEcho is generated for contract Echo; rename this one
demo.go:9:5: EchoDoCall is generated for Echo.Do; rename this one`},
	{"start taken", echo("Do(context.Context) error; StartDo(context.Context) error", ""), `demo.go:4:29: Echo.StartDo is generated for calls of Do that are not waited for; rename one of these`},
	{"names of two contracts", echo("AddDo(context.Context) error", "//secgear:ecall\ntype EchoAdd interface{ Do(context.Context) error }\n"), `demo.go:7:25: EchoAddDoCall is generated for Echo.AddDo and for EchoAdd.Do; rename one of these`},
	{"predeclared", echo("Do(context.Context) error", "func len() {}\ntype string int"), `demo.go:6:6: len hides what the language calls so, which generated code uses; rename it
demo.go:7:6: string hides what the language calls so, which generated code uses; rename it`},
	{"type called as a variable", echo("Do(context.Context, d) error", "type d struct{}"), `demo.go:6:6: type d is called as a variable in generated code; rename it`},

	// All at once, in the order of the source.
	{"many", echo("Do(c chan int, f func()) (any, int)", "//secgear:eror\ntype T struct{}\n//secgear:ocall\ntype Log interface{ Write(context.Context, *T, *[]T) error }\n"), `demo.go:4:2: Echo.Do must return an error last; any call can fail
demo.go:4:2: Echo.Do must take ctx context.Context first; it carries deadline and cancellation across
demo.go:4:7: Echo.Do: chan int can't cross the boundary; make several calls, or return what it would deliver as a slice
demo.go:4:19: Echo.Do: functions can't cross the boundary; declare a contract in the other direction and call that
demo.go:4:28: Echo.Do: any can't cross the boundary, the other side would not know what is in it; use a type of fixed shape
demo.go:6:1: unknown directive //secgear:eror; there are ecall, ocall, switched, check, private, allow and error
demo.go:9:48: *[]T points to something other than a struct; pass the value itself, or a pointer to a struct that holds it
demo.go:9:48: []T has elements without content; send their number instead`},
	{"names, types and directives", echo("Do(context.Context, Tree, chan int) error; Do(context.Context) error", "type Tree []Tree\ntype EchoClient int\n//secgear:ecall\n"), `demo.go:4:28: Echo.Do: chan int can't cross the boundary; make several calls, or return what it would deliver as a slice
demo.go:4:45: Echo.Do is declared twice, first at demo.go:4:2
demo.go:6:6: Tree contains itself (Tree → Tree); send a slice of elements that refer to each other by index
demo.go:7:6: EchoClient is generated for contract Echo; rename this one
demo.go:8:1: //secgear:ecall belongs directly above an interface type, in its doc comment`},
	// Demands.
	{"demand of nothing", echo("//secgear:check n\n\tDo(ctx context.Context, b []byte, n int, s string, f float64, r [][]int64) (out []byte, m int, err error)", ""), `demo.go:4:2: //secgear:check n: there are len(x) == n, len(x) <= n, nonul(x) and within(x, y), where n is a product of numbers, integers and lengths`},
	{"demand that is no expression", echo("//secgear:check len(b ==\n\tDo(ctx context.Context, b []byte, n int, s string, f float64, r [][]int64) (out []byte, m int, err error)", ""), `demo.go:4:2: //secgear:check len(b ==: it is no expression: 1:9: expected operand, found 'EOF'`},
	{"demand of another form", echo("//secgear:check len(b) > n\n\tDo(ctx context.Context, b []byte, n int, s string, f float64, r [][]int64) (out []byte, m int, err error)", ""), `demo.go:4:2: //secgear:check len(b) > n: there are len(x) == n, len(x) <= n, nonul(x) and within(x, y), where n is a product of numbers, integers and lengths`},
	{"demand with a sum", echo("//secgear:check len(b) == n + 1\n\tDo(ctx context.Context, b []byte, n int, s string, f float64, r [][]int64) (out []byte, m int, err error)", ""), `demo.go:4:2: //secgear:check len(b) == n + 1: there are len(x) == n, len(x) <= n, nonul(x) and within(x, y), where n is a product of numbers, integers and lengths`},
	{"demand of an unknown name", echo("//secgear:check len(x) == n\n\tDo(ctx context.Context, b []byte, n int, s string, f float64, r [][]int64) (out []byte, m int, err error)", ""), `demo.go:4:2: //secgear:check len(x) == n: nothing is called x`},
	{"demand by an unknown name", echo("//secgear:check len(b) == x\n\tDo(ctx context.Context, b []byte, n int, s string, f float64, r [][]int64) (out []byte, m int, err error)", ""), `demo.go:4:2: //secgear:check len(b) == x: nothing is called x`},
	{"demand on what has no length", echo("//secgear:check len(n) == n\n\tDo(ctx context.Context, b []byte, n int, s string, f float64, r [][]int64) (out []byte, m int, err error)", ""), `demo.go:4:2: //secgear:check len(n) == n: n has no length that varies`},
	{"demand by what is no integer", echo("//secgear:check len(b) == f\n\tDo(ctx context.Context, b []byte, n int, s string, f float64, r [][]int64) (out []byte, m int, err error)", ""), `demo.go:4:2: //secgear:check len(b) == f: f is no integer`},
	{"demand by what has no length", echo("//secgear:check len(b) == len(n)\n\tDo(ctx context.Context, b []byte, n int, s string, f float64, r [][]int64) (out []byte, m int, err error)", ""), `demo.go:4:2: //secgear:check len(b) == len(n): n has no length that varies`},
	{"demand by a result", echo("//secgear:check len(b) == m\n\tDo(ctx context.Context, b []byte, n int, s string, f float64, r [][]int64) (out []byte, m int, err error)", ""), `demo.go:4:2: //secgear:check len(b) == m: m is a result; a bound must be known when the call is made`},
	{"demand with a number that is too large", echo("//secgear:check len(b) == 9223372036854775808\n\tDo(ctx context.Context, b []byte, n int, s string, f float64, r [][]int64) (out []byte, m int, err error)", ""), `demo.go:4:2: //secgear:check len(b) == 9223372036854775808: 9223372036854775808 is too large`},
	{"demand with a fraction", echo("//secgear:check len(b)*1.5 == n\n\tDo(ctx context.Context, b []byte, n int, s string, f float64, r [][]int64) (out []byte, m int, err error)", ""), `demo.go:4:2: //secgear:check len(b)*1.5 == n: there are len(x) == n, len(x) <= n, nonul(x) and within(x, y), where n is a product of numbers, integers and lengths`},
	{"demand of text on a number", echo("//secgear:check nonul(n)\n\tDo(ctx context.Context, b []byte, n int, s string, f float64, r [][]int64) (out []byte, m int, err error)", ""), `demo.go:4:2: //secgear:check nonul(n): n is no text`},
	{"demand of text on slices", echo("//secgear:check nonul(r)\n\tDo(ctx context.Context, b []byte, n int, s string, f float64, r [][]int64) (out []byte, m int, err error)", ""), `demo.go:4:2: //secgear:check nonul(r): r is no text`},
	{"demand of another name", echo("//secgear:check text(s)\n\tDo(ctx context.Context, b []byte, n int, s string, f float64, r [][]int64) (out []byte, m int, err error)", ""), `demo.go:4:2: //secgear:check text(s): there are len(x) == n, len(x) <= n, nonul(x) and within(x, y), where n is a product of numbers, integers and lengths`},
	{"within of arguments", echo("//secgear:check within(b, b)\n\tDo(ctx context.Context, b []byte, n int, s string, f float64, r [][]int64) (out []byte, m int, err error)", ""), `demo.go:4:2: //secgear:check within(b, b): it takes a result and an argument`},
	{"within of different types", echo("//secgear:check within(out, s)\n\tDo(ctx context.Context, b []byte, n int, s string, f float64, r [][]int64) (out []byte, m int, err error)", ""), `demo.go:4:2: //secgear:check within(out, s): out is []byte and s is string`},
	{"within of something else", echo("//secgear:check inside(out, b)\n\tDo(ctx context.Context, b []byte, n int, s string, f float64, r [][]int64) (out []byte, m int, err error)", ""), `demo.go:4:2: //secgear:check inside(out, b): there are len(x) == n, len(x) <= n, nonul(x) and within(x, y), where n is a product of numbers, integers and lengths`},
	{"within of maps", echo("//secgear:check within(o, m)\n\tDo(ctx context.Context, m map[string]int) (o map[string]int, err error)", ""), `demo.go:4:2: //secgear:check within(o, m): o holds maps or pointers`},
	{"demand on a field that is not there", echo("Do(context.Context, T) error", "// T is one.\n//\n//secgear:check len(A) == B\ntype T struct { A []byte }"), `demo.go:8:1: //secgear:check len(A) == B: nothing is called B`},
	{"demand without an argument", echo("//secgear:check\n\tDo(context.Context) error", ""), `demo.go:4:2: //secgear:check takes an argument, as in //secgear:check len(data) == size`},
	{"demand on a contract", "//secgear:ecall\n//secgear:check nonul(x)\ntype Echo interface{ Do(context.Context) error }\n", `demo.go:3:1: //secgear:check belongs directly above a method of a contract, or a struct that one uses, in its doc comment`},
	{"private method of the host", "//secgear:ocall\ntype Echo interface {\n\t//secgear:private\n\tDo(context.Context) error\n}\n", `demo.go:4:2: //secgear:private belongs directly above a method that the enclave serves, in its doc comment`},
	{"allow by the enclave", echo("//secgear:allow Echo.Do\n\tDo(context.Context) error", ""), `demo.go:4:2: //secgear:allow belongs directly above a method that the host serves, in its doc comment`},
	{"allow of what is not private", "//secgear:ocall\ntype Echo interface {\n\t//secgear:allow Do, Echo.Do\n\tDo(context.Context) error\n}\n", `demo.go:4:2: //secgear:allow Do: there is no method of this name that is marked //secgear:private; write Contract.Method
demo.go:4:2: //secgear:allow Echo.Do: there is no method of this name that is marked //secgear:private; write Contract.Method`},

	{"syntax", "type Echo interface {\n\tDo(\n", `demo.go:3:6: expected ')', found 'EOF'`},
}

func TestRefusals(t *testing.T) {
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			dir := module(t, map[string]string{"demo.go": header + tt.src})
			written, err := Generate(dir)
			if err == nil {
				t.Fatal("accepted")
			}
			got := strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "")
			if got != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
			}
			if _, err := os.Stat(filepath.Join(dir, CodeFile)); err == nil || written != nil {
				t.Errorf("something was written: %v", written)
			}
		})
	}
}

// module returns a new folder that is the root of module example.com/demo,
// with files in it.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "go.mod", "module example.com/demo // the demo\n\ngo 1.26\n")
	for name, text := range files {
		write(t, dir, name, text)
	}
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
