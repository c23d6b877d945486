package secgear_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// goMod is what these tests read from `go mod edit -json`.
type goMod struct {
	Module  struct{ Path string }
	Require []struct {
		Path     string
		Indirect bool
	}
	Replace []struct {
		New struct{ Path, Version string }
	}
	Tool []struct{ Path string }
}

// readGoMod returns the content of a go.mod file.
func readGoMod(t *testing.T, file string) goMod {
	t.Helper()
	out := goCommand(t, nil, "mod", "edit", "-json", file)
	var m goMod
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatalf("go mod edit -json %s: %v", file, err)
	}
	return m
}

// TestDependenciesHaveReasons: each direct dependency is named in RATIONALE.md.
func TestDependenciesHaveReasons(t *testing.T) {
	m := readGoMod(t, "go.mod")
	if m.Module.Path != modulePath {
		t.Fatalf("go.mod is of module %s, want %s", m.Module.Path, modulePath)
	}
	rationale, err := os.ReadFile("RATIONALE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range m.Require {
		if !r.Indirect && !names(string(rationale), r.Path) {
			t.Errorf("go.mod: requires %s, but RATIONALE.md does not say why", r.Path)
		}
	}
	if len(m.Tool) > 0 {
		t.Errorf("go.mod: has tool directives; they belong into internal/devtools/go.mod, where they do not raise the go line")
	}
	if len(m.Replace) > 0 {
		t.Errorf("go.mod: has replace directives; they do not reach those who import the module")
	}
}

// names reports whether text has the module path as a word of its own.
func names(text, path string) bool {
	return regexp.MustCompile(`(^|[^\w./-])` + regexp.QuoteMeta(path) + `($|[^\w/-])`).MatchString(text)
}

func TestNamesWholePathsOnly(t *testing.T) {
	const text = "We use `golang.org/x/sys/unix` and golang.org/x/term."
	for path, want := range map[string]bool{
		"golang.org/x/sys":      false,
		"golang.org/x/sys/unix": true,
		"golang.org/x/term":     true,
		"golang.org/x":          false,
		"org/x/term":            false,
	} {
		if got := names(text, path); got != want {
			t.Errorf("names(%q) = %v, want %v", path, got, want)
		}
	}
}

// TestNestedModules: every other module of the repository takes this one from
// the checkout, so that both are always tested together.
func TestNestedModules(t *testing.T) {
	files, err := filepath.Glob("*/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("*/*/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, more...) {
		t.Run(file, func(t *testing.T) {
			m := readGoMod(t, file)
			if want := modulePath + "/" + filepath.ToSlash(filepath.Dir(file)); m.Module.Path != want {
				t.Errorf("module %s, want %s", m.Module.Path, want)
			}
			root, err := filepath.Abs(".")
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range m.Require {
				if r.Path == modulePath && !replacedBy(m, filepath.Dir(file), root) {
					t.Errorf("requires %s without replacing it by the checkout", modulePath)
				}
			}
		})
	}
}

// replacedBy reports whether m, in folder dir, replaces a module by folder root.
func replacedBy(m goMod, dir, root string) bool {
	for _, r := range m.Replace {
		target, err := filepath.Abs(filepath.Join(dir, r.New.Path))
		if err == nil && r.New.Version == "" && target == root {
			return true
		}
	}
	return false
}

// goCommand runs the go command in the module's root and returns its standard
// output. env adds to the environment.
func goCommand(t *testing.T, env []string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}
