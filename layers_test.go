package secgear_test

import (
	"os"
	"slices"
	"testing"
	"testing/fstest"
)

// policy says who may import what. It is a statement of intent: a change here
// is a change of the architecture and belongs in RATIONALE.md.
//
// Patterns are separated by spaces. Folders of this module are written without
// its path: "sdk/tee" is that one package, "sdk/..." it and all below,
// "examples/*/enclave" one level of any name. What ends in ".go" names a file
// ("*_gen.go": in any folder). All other imports are written as in Go.
//
// Every .go file counts, whatever its build tags. Files ending in _test.go are
// exempt from a rule only if it says so.
var policy = []rule{
	// cmd, examples → service → middleware → sdk → internal, never up.
	{
		name: "internal imports no layer of the product",
		from: "internal/...", never: "sdk/... middleware/... service/... cmd/... examples/...",
	},
	{
		name: "sdk never imports upwards",
		from: "sdk/...", never: "middleware/... service/... cmd/... examples/...",
	},
	{
		name: "middleware never imports upwards",
		from: "middleware/...", never: "service/... cmd/... examples/...",
	},
	{
		name: "service never imports upwards",
		from: "service/...", never: "cmd/... examples/...",
	},
	{
		name: "cmd does not depend on examples",
		from: "cmd/...", never: "examples/...",
	},
	{
		name: "examples do not depend on cmd",
		from: "examples/...", never: "cmd/...",
	},
	{
		name: "the root package holds tests only",
		from: ".", never: "...", testsExempt: true,
	},

	// Side by side.
	{
		name:     "backends never import their siblings",
		siblings: "sdk/tee", except: "sdk/tee/all/...", allow: "sdk/tee/teetest/...",
	},
	{
		name:     "services never import their siblings",
		siblings: "service",
	},
	{
		name:     "examples never import their siblings",
		siblings: "examples",
	},

	// The host's side and the enclave's.
	{
		name: "the host's side never imports the enclave's",
		from: "sdk/host/... sdk/tee/all/...", never: "sdk/enclave/...",
		testsExempt: true,
	},
	{
		name: "the enclave's side never imports the host's",
		from: "sdk/enclave/... sdk/tee/*/guest/...", never: "sdk/host/... sdk/tee/all/...",
		testsExempt: true,
	},
	{
		name: "a program is on one side",
		from: "cmd/... examples/... service/... middleware/...", together: "sdk/host sdk/enclave",
		testsExempt: true,
	},
	{
		name: "what both sides share depends on neither",
		from: "sdk/tee sdk/image/... sdk/call/... sdk/shm/... sdk/idl/... sdk/internal/...", never: "sdk/host/... sdk/enclave/... sdk/tee/*/...",
		testsExempt: true,
	},

	// Two tables know the backends.
	{
		name: "only sdk/tee/all and cmd know the backends",
		from: "...", except: "sdk/tee/... sdk/enclave/... cmd/... " + testSupport,
		never: "sdk/tee/*/...", allow: "sdk/tee/all sdk/tee/teetest", testsExempt: true,
	},
	{
		name: "the enclave's side knows guest halves of backends only",
		from: "sdk/enclave/...", never: "sdk/tee/*/...", allow: "sdk/tee/*/guest/...",
		testsExempt: true,
	},
	{
		name: "only the enclave's table of platforms knows the backends",
		from: "sdk/enclave/...", except: "platform.go platform_*.go",
		never: "sdk/tee/*/...", testsExempt: true,
	},

	// Powers.
	{
		name: "unsafe stays in sdk/internal",
		from: "...", except: "sdk/internal/... " + unsafeFiles, never: "unsafe",
		testsExempt: true,
	},
	{
		name: "no cgo",
		from: "...", never: "C",
	},
	{
		name: "generated code is without reflection",
		from: "*_gen.go", never: "reflect unsafe encoding/json encoding/gob",
	},
	{
		name: "what supports tests stays out of programs",
		from: "...", except: testSupport, never: "testing testing/... " + testSupport,
		testsExempt: true,
	},
	{
		name: "other modules of this repository are no dependencies",
		from: "...", never: "bench/... internal/devtools/...",
	},
}

// testSupport are the packages made for tests.
const testSupport = "sdk/enclavetest/... sdk/boundarytest/... sdk/tee/teetest/... sdk/internal/tpm/tpmtest/..."

// unsafeFiles may import unsafe outside sdk/internal, each for the reason given.
// A file that no longer does must be taken off the list.
const unsafeFiles = ""

// TestLayers enforces policy on the whole tree.
func TestLayers(t *testing.T) {
	uses, err := readImports(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	if len(uses) == 0 {
		t.Fatal("found no imports at all: the test looks in the wrong place")
	}
	for _, v := range check(uses, policy) {
		t.Error(v)
	}
}

// TestUnsafeFiles keeps the list of exceptions as short as it can be.
func TestUnsafeFiles(t *testing.T) {
	uses, err := readImports(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range patterns(unsafeFiles) {
		found := false
		for _, u := range uses {
			found = found || u.file == want && u.path == "unsafe"
		}
		if !found {
			t.Errorf("%s: listed in unsafeFiles, but there is no such file or it does not import unsafe", want)
		}
	}
}

// TestPolicyFindsViolations shows for every rule that it is enforced, and that
// its exceptions hold.
func TestPolicyFindsViolations(t *testing.T) {
	const own = modulePath + "/"
	tests := []struct {
		file    string
		imports []string
		want    string // name of the rule broken, or empty
	}{
		{"internal/x/x.go", []string{own + "sdk/tee"}, "internal imports no layer of the product"},
		{"internal/x/x.go", []string{own + "internal/y"}, ""},
		{"sdk/host/load.go", []string{own + "middleware/vault"}, "sdk never imports upwards"},
		{"sdk/host/load_test.go", []string{own + "examples/vault"}, "sdk never imports upwards"},
		{"sdk/host/load.go", []string{own + "internal/x", "fmt"}, ""},
		{"middleware/vault/v.go", []string{own + "service/crypto"}, "middleware never imports upwards"},
		{"service/crypto/c.go", []string{own + "cmd/secgear/x"}, "service never imports upwards"},
		{"cmd/secgear/main.go", []string{own + "examples/vault"}, "cmd does not depend on examples"},
		{"examples/vault/main.go", []string{own + "cmd/secgear/x"}, "examples do not depend on cmd"},
		{"secgear.go", []string{"fmt"}, "the root package holds tests only"},
		{"layers_test.go", []string{"fmt"}, ""},

		{"sdk/tee/sim/sim.go", []string{own + "sdk/tee/vm"}, "backends never import their siblings"},
		{"sdk/tee/sim/sim.go", []string{own + "sdk/tee/vm/qemu"}, "backends never import their siblings"},
		{"sdk/tee/sim/sim_test.go", []string{own + "sdk/tee/vm"}, "backends never import their siblings"},
		{"sdk/tee/sim/sim.go", []string{own + "sdk/tee", own + "sdk/tee/sim/guest"}, ""},
		{"sdk/tee/sim/sim_test.go", []string{own + "sdk/tee/teetest"}, ""},
		{"sdk/tee/all/all.go", []string{own + "sdk/tee/sim"}, ""},
		{"service/crypto/c.go", []string{own + "service/database"}, "services never import their siblings"},
		{"service/crypto/kmip/k.go", []string{own + "service/crypto"}, ""},
		{"examples/vault/v.go", []string{own + "examples/hello"}, "examples never import their siblings"},
		{"examples/vault/enclave/main.go", []string{own + "examples/vault"}, ""},

		{"sdk/host/h.go", []string{own + "sdk/enclave"}, "the host's side never imports the enclave's"},
		{"sdk/host/h_windows.go", []string{own + "sdk/enclave"}, "the host's side never imports the enclave's"},
		{"sdk/host/h_test.go", []string{own + "sdk/enclave"}, ""},
		{"sdk/enclave/e.go", []string{own + "sdk/host"}, "the enclave's side never imports the host's"},
		{"sdk/tee/sim/guest/g.go", []string{own + "sdk/host"}, "the enclave's side never imports the host's"},
		{"sdk/enclavetest/t.go", []string{own + "sdk/host", own + "sdk/enclave"}, ""},
		{"examples/vault/v.go", []string{own + "sdk/host", own + "sdk/enclave"}, "a program is on one side"},
		{"examples/vault/v.go", []string{own + "sdk/host"}, ""},
		{"examples/vault/enclave/main.go", []string{own + "sdk/enclave"}, ""},
		{"sdk/shm/l.go", []string{own + "sdk/host"}, "what both sides share depends on neither"},
		{"sdk/tee/tee.go", []string{own + "sdk/tee/sim"}, "what both sides share depends on neither"},

		{"sdk/host/h.go", []string{own + "sdk/tee/sim"}, "only sdk/tee/all and cmd know the backends"},
		{"examples/vault/v.go", []string{own + "sdk/tee/sim/guest"}, "only sdk/tee/all and cmd know the backends"},
		{"sdk/host/h_test.go", []string{own + "sdk/tee/sim"}, ""},
		{"examples/vault/v.go", []string{own + "sdk/tee/all"}, ""},
		{"cmd/secgear/main.go", []string{own + "sdk/tee/sim"}, ""},
		{"sdk/enclavetest/t.go", []string{own + "sdk/tee/sim/hardware"}, ""},
		{"sdk/enclave/platform.go", []string{own + "sdk/tee/sim/guest"}, ""},
		{"sdk/enclave/platform_linux.go", []string{own + "sdk/tee/sim"}, "the enclave's side knows guest halves of backends only"},
		{"sdk/enclave/main.go", []string{own + "sdk/tee/sim/guest"}, "only the enclave's table of platforms knows the backends"},

		{"sdk/host/h.go", []string{"unsafe"}, "unsafe stays in sdk/internal"},
		{"sdk/internal/ring/r.go", []string{"unsafe"}, ""},
		{"sdk/host/h_test.go", []string{"unsafe"}, ""},
		{"sdk/host/h.go", []string{"C"}, "no cgo"},
		{"examples/vault/secgear_gen.go", []string{"reflect"}, "generated code is without reflection"},
		{"examples/vault/vault.go", []string{"reflect"}, ""},
		{"sdk/host/h.go", []string{"testing"}, "what supports tests stays out of programs"},
		{"cmd/secgear/main.go", []string{own + "sdk/enclavetest"}, "what supports tests stays out of programs"},
		{"sdk/enclavetest/t.go", []string{"testing"}, ""},
		{"cmd/secgear/main.go", []string{own + "bench/calls"}, "other modules of this repository are no dependencies"},
		{"cmd/secgear/main.go", []string{own + "internal/devtools"}, "other modules of this repository are no dependencies"},
	}
	shown := make(map[string]bool)
	for _, tt := range tests {
		t.Run(tt.file+" imports "+tt.imports[0], func(t *testing.T) {
			uses, err := readImports(sampleTree(tt.file, tt.imports))
			if err != nil {
				t.Fatal(err)
			}
			var broken []string
			for _, v := range check(uses, policy) {
				broken = append(broken, v.rule)
			}
			switch {
			case tt.want == "" && len(broken) > 0:
				t.Errorf("breaks %q, want nothing", broken)
			case tt.want != "" && !slices.Contains(broken, tt.want):
				t.Errorf("breaks %q, want %q", broken, tt.want)
			}
			shown[tt.want] = true
		})
	}
	for _, r := range policy {
		if !shown[r.name] {
			t.Errorf("no sample breaks the rule %q", r.name)
		}
	}
}

// TestViolationNamesPlaceAndRule keeps the message useful: where, what, why.
func TestViolationNamesPlaceAndRule(t *testing.T) {
	uses, err := readImports(sampleTree("sdk/host/h.go", []string{"fmt", "unsafe"}))
	if err != nil {
		t.Fatal(err)
	}
	got := check(uses, policy)
	if len(got) != 1 {
		t.Fatalf("found %d violations, want 1: %v", len(got), got)
	}
	const want = `sdk/host/h.go:6: imports unsafe, but unsafe stays in sdk/internal`
	if got[0].String() != want {
		t.Errorf("got  %s\nwant %s", got[0], want)
	}
}

// TestReadImportsSeesEveryFile: build tags and tests do not hide an import,
// nested modules and test data do.
func TestReadImportsSeesEveryFile(t *testing.T) {
	src := func(path string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("//go:build ignore\n\npackage p\n\nimport \"" + path + "\"\n")}
	}
	uses, err := readImports(fstest.MapFS{
		"go.mod":              {Data: []byte("module x\n")},
		"a/a_plan9.go":        src("one"),
		"a/a_test.go":         src("two"),
		"a/testdata/t.go":     src("not this"),
		"_a/a.go":             src("not this"),
		".a/a.go":             src("not this"),
		"bench/go.mod":        {Data: []byte("module y\n")},
		"bench/calls/main.go": src("not this"),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range uses {
		got = append(got, u.path)
	}
	if len(got) != 2 || got[0] != "one" || got[1] != "two" {
		t.Errorf("read imports %q, want [one two]", got)
	}
}
