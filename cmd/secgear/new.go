package main

import (
	"embed"
	"errors"
	"fmt"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/secgear/secgear/sdk/idl"
)

// template is the project that "secgear new" writes, for a module of the path
// templatePath and a package demo. Files named with a dot are without it here.
//
//go:embed _template
var template embed.FS

const (
	templateDir  = "_template"
	templatePath = "example.com/template"
)

func runNew(i *invocation) error {
	source := i.flags.String("secgear", "", "take secgear from its source in `dir` (default: where this command came from)")
	args, err := i.parse(1, 1)
	if err != nil {
		return err
	}
	n, err := parseName(args[0])
	if err != nil {
		return fmt.Errorf("making a project: %w", err)
	}
	if exists(n.dir) {
		return fmt.Errorf("making a project: %s is there already", n.dir)
	}
	c, err := findCheckout(*source)
	if err != nil {
		return err
	}
	if err := i.makeProject(n, c); err != nil {
		return fmt.Errorf("making a project: %w", err)
	}
	command := "secgear"
	if _, err := exec.LookPath(command); err != nil {
		command = "go tool secgear"
	}
	_, err = fmt.Fprintf(i.stdout, "made %s; next: cd %s && %s run && go test ./...\n", n.dir, n.dir, command)
	return err
}

// projectName is what a project is called in several places.
type projectName struct {
	module string // path
	dir    string // directory, image and manifest: the last element of module
	pkg    string // the contract's package: dir without joiners
}

// nameGrammar is what a module's last element may be, so that it can name an
// enclave, see image.Manifest.
var nameGrammar = regexp.MustCompile(`^[a-z][a-z0-9]*([-_.][a-z0-9]+)*$`)

// taken are names that the project's own source uses for something else.
var taken = []string{
	"main", "call", "context", "enclave", "enclavetest", "errors", "flag", "fmt", "host", "slog", "os", "testing", "time", "all",
	"greeter", "clock", "setup", "run", "internal", "vendor", "testdata", "shm",
}

// parseName checks a module's path and derives the other names from it.
func parseName(module string) (projectName, error) {
	n := projectName{module: module, dir: path.Base(module)}
	for _, r := range module {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/", r) {
			return n, fmt.Errorf("%q contains %q, which a module's path can't", module, r)
		}
	}
	if path.Clean(module) != module || path.IsAbs(module) || strings.HasPrefix(module, ".") {
		return n, fmt.Errorf("%q is no module path", module)
	}
	if !nameGrammar.MatchString(n.dir) || len(n.dir) > 64 {
		return n, fmt.Errorf("%q is no name for an enclave: it takes 1 to 64 lower case letters and digits, a letter first, in groups joined by '-', '_' or '.'", n.dir)
	}
	n.pkg = strings.NewReplacer("-", "", "_", "", ".", "").Replace(n.dir)
	if token.IsKeyword(n.pkg) || slices.Contains(taken, n.pkg) {
		return n, hint(fmt.Errorf("a package can't be named %q here", n.pkg), "take another name, as my%s", n.pkg)
	}
	return n, nil
}

// makeProject writes the project under another name and puts it in place when
// it is complete.
func (i *invocation) makeProject(n projectName, c *checkout) (err error) {
	deps, err := i.dependencies(c, n)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp(".", ".secgear-new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	if err := writeTemplate(temp, n); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(temp, "go.mod"), []byte(deps.goMod(n, c)), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(temp, "go.sum"), c.goSum, 0o644); err != nil {
		return err
	}
	if _, err := idl.Generate(temp); err != nil {
		return err
	}
	return os.Rename(temp, n.dir)
}

// writeTemplate writes the template's files to dir.
func writeTemplate(dir string, n projectName) error {
	return fs.WalkDir(template, templateDir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(n.file(strings.TrimPrefix(name, templateDir))))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		data, err := template.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(to, []byte(n.fill(name, string(data))), 0o644)
	})
}

// file returns what a file of the template is called in the project.
func (n projectName) file(name string) string {
	switch name {
	case "/demo.go":
		return n.pkg + ".go"
	case "/gitignore":
		return ".gitignore"
	}
	return name
}

// fill puts the project's names into a file of the template.
func (n projectName) fill(name, text string) string {
	imported := `"` + n.module + `"`
	if n.pkg != n.dir {
		imported = n.pkg + " " + imported
	}
	demo := n.dir
	if path.Ext(name) == ".go" {
		demo = n.pkg
	}
	return strings.NewReplacer(
		`demo "`+templatePath+`"`, imported,
		templatePath, n.module,
		"demo.go", n.pkg+".go",
		"demo", demo,
	).Replace(text)
}
