package secgear_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The rules for code in README.md, RATIONALE.md and docs/*.md:
//
//	```go                 a complete file, compiled as a program of its own
//	```go file=demo.go    a file of the page's project: all such blocks of a page
//	                      make one module named demo, `secgear generate` is run
//	                      where there is a contract, and all of it is compiled
//	```go fragment        declarations or statements: must parse, is not compiled
//	```sh                 names only make targets and secgear commands that exist

// block is one fenced code block.
type block struct {
	page string // file it stands in
	line int    // of its first line of content
	lang string
	info []string // words after the language
	text string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// file returns the name given with file=, or "".
func (b block) file() string {
	for _, word := range b.info {
		if name, ok := strings.CutPrefix(word, "file="); ok {
			return name
		}
	}
	return ""
}

// isFragment reports whether the block is marked as incomplete.
func (b block) isFragment() bool { return slices.Contains(b.info, "fragment") }

// pages lists the documentation.
func pages(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "RATIONALE.md"} {
		if _, err := os.Stat(name); err != nil {
			t.Errorf("%v", err)
			continue
		}
		list = append(list, name)
	}
	return list
}

// readBlocks returns the fenced code blocks of a page.
func readBlocks(t *testing.T, page string) []block {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := parseBlocks(page, string(data))
	if err != nil {
		t.Fatal(err)
	}
	return blocks
}

// parseBlocks finds the blocks fenced with three or more backquotes, which may
// be indented, as in a list.
func parseBlocks(page, text string) ([]block, error) {
	var blocks []block
	var open *block
	var fence, indent string
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimLeft(line, " ")
		switch {
		case open != nil && strings.TrimRight(trimmed, " ") == fence:
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		case strings.HasPrefix(trimmed, "```"):
			info := strings.TrimLeft(trimmed, "`")
			fence = trimmed[:len(trimmed)-len(info)]
			indent = line[:len(line)-len(trimmed)]
			open = &block{page: page, line: i + 2}
			if words := strings.Fields(info); len(words) > 0 {
				open.lang, open.info = words[0], words[1:]
			}
		}
	}
	if open != nil {
		return nil, fmt.Errorf("%s: the code block is not closed", open)
	}
	return blocks, nil
}

// TestSnippets compiles the Go code of every page.
func TestSnippets(t *testing.T) {
	secgear := buildSecgear(t)
	for _, page := range pages(t) {
		t.Run(page, func(t *testing.T) {
			for _, err := range compileSnippets(t, secgear, readBlocks(t, page)) {
				t.Error(err)
			}
		})
	}
}

// buildSecgear builds the command for tests and returns its path.
func buildSecgear(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secgear")
	goCommand(t, []string{"CGO_ENABLED=0"}, "build", "-buildvcs=false", "-o", file, "./cmd/secgear")
	return file
}

// compileSnippets compiles the Go blocks of one page and returns what is wrong
// with them.
func compileSnippets(t *testing.T, secgear string, blocks []block) []error {
	t.Helper()
	p := newProject(t)
	var faults []error
	for _, b := range blocks {
		if b.lang != "go" {
			continue
		}
		if err := p.add(b); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", b, err))
		}
	}
	if err := p.compile(secgear); err != nil {
		faults = append(faults, err)
	}
	return faults
}

// project is a module made of the snippets of one page.
type project struct {
	dir       string
	files     int
	contracts []string // folders in which to generate
}

// newProject makes a module beside this one, requiring it and all it requires.
func newProject(t *testing.T) *project {
	t.Helper()
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod := strings.Replace(string(own), "module "+modulePath, "module demo", 1) +
		fmt.Sprintf("\nrequire %s v0.0.0\n\nreplace %[1]s => %s\n", modulePath, root)
	sum, err := os.ReadFile("go.sum")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	p := &project{dir: t.TempDir()}
	if err := errors.Join(p.write("go.mod", mod), p.write("go.sum", string(sum))); err != nil {
		t.Fatal(err)
	}
	return p
}

// add puts a block into the project, or checks it if it is a fragment.
func (p *project) add(b block) error {
	if b.isFragment() {
		return parseFragment(b.text)
	}
	f, err := parser.ParseFile(token.NewFileSet(), "", b.text, parser.PackageClauseOnly)
	if err != nil {
		return fmt.Errorf("no complete Go file (mark it ```go fragment if it is not meant to be one): %w", err)
	}
	name := b.file()
	if name == "" {
		name = fmt.Sprintf("line%d/%s.go", b.line, f.Name.Name)
	}
	if !filepath.IsLocal(name) {
		return fmt.Errorf("file=%s leads out of the project", name)
	}
	p.files++
	if strings.Contains(b.text, "\n//secgear:ecall") || strings.Contains(b.text, "\n//secgear:ocall") {
		p.contracts = append(p.contracts, filepath.Join(p.dir, filepath.Dir(filepath.FromSlash(name))))
	}
	// errors are to name the page, not the file made of it
	return p.write(name, fmt.Sprintf("//line %s:%d\n%s", filepath.Base(b.page), b.line, b.text))
}

// write makes a file of the project, and its folder.
func (p *project) write(name, text string) error {
	file := filepath.Join(p.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// compile generates what contracts ask for and compiles everything.
func (p *project) compile(secgear string) error {
	if p.files == 0 {
		return nil
	}
	slices.Sort(p.contracts)
	for _, dir := range slices.Compact(p.contracts) {
		if err := p.run(dir, secgear, "generate"); err != nil {
			return err
		}
	}
	return p.run(p.dir, "go", "vet", "./...")
}

// run runs a command on the project. Its error holds what the command printed.
func (p *project) run(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return nil
}

// parseFragment accepts declarations or statements.
func parseFragment(text string) error {
	_, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+text, parser.SkipObjectResolution)
	if err == nil {
		return nil
	}
	_, err = parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+text+"\n}", parser.SkipObjectResolution)
	return err
}

// TestShellSnippets: commands shown to readers exist.
func TestShellSnippets(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	targets := makeTargets(string(makefile))
	commands := secgearCommands(t, buildSecgear(t))
	for _, page := range pages(t) {
		for _, b := range readBlocks(t, page) {
			if !isShell(b.lang) {
				continue
			}
			for _, w := range wordsAfter(b.text, "make") {
				if !slices.Contains(targets, w) {
					t.Errorf("%s: there is no make target %q", b, w)
				}
			}
			for _, w := range wordsAfter(b.text, "secgear") {
				if !slices.Contains(commands, w) {
					t.Errorf("%s: there is no command secgear %s", b, w)
				}
			}
		}
	}
}

// secgearCommands lists the commands that `secgear help` shows, one at the
// beginning of each indented line.
func secgearCommands(t *testing.T, secgear string) []string {
	t.Helper()
	out, err := exec.Command(secgear, "help").Output()
	if err != nil {
		t.Fatalf("secgear help: %v", err)
	}
	var commands []string
	for _, m := range regexp.MustCompile(`(?m)^\s+([a-z][a-z-]*)\s`).FindAllStringSubmatch(string(out), -1) {
		commands = append(commands, m[1])
	}
	if len(commands) == 0 {
		t.Fatalf("secgear help shows no command:\n%s", out)
	}
	return append(commands, "help")
}

// isShell reports whether a block of this language shows commands.
func isShell(lang string) bool {
	return slices.Contains([]string{"sh", "bash", "shell", "console"}, lang)
}

// makeTargets lists the targets that a Makefile declares.
func makeTargets(makefile string) []string {
	var targets []string
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z-]*):`).FindAllStringSubmatch(makefile, -1) {
		targets = append(targets, m[1])
	}
	return targets
}

// commandUse finds a program at the beginning of a command and the first word
// after it that is neither a flag nor a variable.
var commandUse = regexp.MustCompile(`(?:^|[;&|(]\s*|\$ )(?:sudo )?(?:[A-Z_]+=\S* )*(?:\S*/)?(make|secgear)((?: +\S+)*)`)

// wordsAfter returns what stands after each use of a program in a shell
// snippet: its targets for make, its subcommand for secgear.
func wordsAfter(text, program string) []string {
	var words []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
		for _, part := range regexp.MustCompile(`&&|\|\||[;|]`).Split(line, -1) {
			m := commandUse.FindStringSubmatch(strings.TrimSpace(part))
			if m == nil || m[1] != program {
				continue
			}
			args := slices.DeleteFunc(strings.Fields(m[2]), func(w string) bool {
				return strings.HasPrefix(w, "-") || strings.Contains(w, "=")
			})
			if program == "secgear" && len(args) > 1 {
				args = args[:1]
			}
			words = append(words, args...)
		}
	}
	return words
}

// TestLinks: relative links in the documentation lead somewhere.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s#]+)(?:#[^)]*)?\)`)
	for _, page := range pages(t) {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(data), -1) {
			if strings.Contains(m[1], ":") {
				continue // leads out of the repository
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s: broken link: %v", page, err)
			}
		}
	}
}

// TestCompileSnippets: what is wrong is found, and said where.
func TestCompileSnippets(t *testing.T) {
	tests := []struct {
		name, text string
		want       string // part of the error, or empty
	}{
		{"program", "```go\npackage main\n\nfunc main() {}\n```\n", ""},
		{"imports us", "```go\npackage p\n\nimport _ \"" + modulePath + "/sdk/image\"\n```\n", ""},
		{"two files", "```go file=a/a.go\npackage a\n\nconst A = B\n```\n```go file=a/b.go\npackage a\n\nconst B = 1\n```\n", ""},
		{"two packages", "```go file=a/a.go\npackage a\n\nconst A = 1\n```\n```go file=main.go\npackage main\n\nimport \"demo/a\"\n\nfunc main() { println(a.A) }\n```\n", ""},
		{"not Go", "```json\n{\n```\n", ""},
		{"fragment", "```go fragment\nx := 1\n```\n", ""},
		{"does not compile", "\n\n```go\npackage main\n\nfunc main() { missing() }\n```\n", "page.md:6: undefined: missing"},
		{"not marked", "```go\nx := 1\n```\n", "page.md:2: no complete Go file"},
		{"bad fragment", "```go fragment\nx := := 1\n```\n", "page.md:2: "},
		{"leads out", "```go file=../a.go\npackage a\n```\n", "page.md:2: file=../a.go leads out"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			blocks, err := parseBlocks("page.md", tt.text)
			if err != nil {
				t.Fatal(err)
			}
			err = errors.Join(compileSnippets(t, "no contract here", blocks)...)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestParseBlocks(t *testing.T) {
	const text = "# Title\n\n```go file=a.go\npackage a\n```\n\n1. step\n\n   ```sh\n   make run\n     indented\n   ```\n\n" +
		"````md\n```\nnot closed here\n````\n\n```\nplain\n```\n"
	got, err := parseBlocks("page.md", text)
	if err != nil {
		t.Fatal(err)
	}
	want := []block{
		{"page.md", 4, "go", []string{"file=a.go"}, "package a\n"},
		{"page.md", 10, "sh", nil, "make run\n  indented\n"},
		{"page.md", 15, "md", nil, "```\nnot closed here\n"},
		{"page.md", 20, "", nil, "plain\n"},
	}
	if describe(t, got) != describe(t, want) {
		t.Errorf("got  %s\nwant %s", describe(t, got), describe(t, want))
	}
	if _, err := parseBlocks("page.md", "```go\npackage a\n"); err == nil {
		t.Error("a block that is not closed was accepted")
	}
}

// describe makes blocks comparable, "no words" and "none" being the same.
func describe(t *testing.T, blocks []block) string {
	t.Helper()
	var lines []string
	for _, b := range blocks {
		text, err := json.Marshal(b.text)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s %s %v %s", b, b.lang, b.info, text))
	}
	return strings.Join(lines, "\n")
}

func TestParseFragment(t *testing.T) {
	for text, valid := range map[string]bool{
		"type T struct{}":       true,
		"x := f()\nreturn x":    true,
		"import \"fmt\"":        true,
		"if err != nil {\n":     false,
		"this is no Go at all.": false,
	} {
		if err := parseFragment(text); (err == nil) != valid {
			t.Errorf("parseFragment(%q) = %v, want valid %v", text, err, valid)
		}
	}
}

func TestWordsAfter(t *testing.T) {
	tests := []struct {
		text, program string
		want          []string
	}{
		{"make run FILE=x", "make", []string{"run"}},
		{"$ make -s build test # both", "make", []string{"build", "test"}},
		{"FUZZTIME=3s make fuzz", "make", []string{"fuzz"}},
		{"cd x && sudo make run; make test", "make", []string{"run", "test"}},
		{"bin/secgear new demo && cd demo && ../bin/secgear run --json", "secgear", []string{"new", "run"}},
		{"echo make it so", "make", nil},
		{"git clone https://example.com/secgear demo", "secgear", nil},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			if got := wordsAfter(tt.text, tt.program); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMakeTargets(t *testing.T) {
	got := makeTargets("X := y\nrun: build ## Runs.\n\tcmd\nbench-calls:\n.PHONY: run\n")
	if want := []string{"run", "bench-calls"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
