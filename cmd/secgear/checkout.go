package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/secgear/secgear/internal/process"
)

// modulePath is the path of the module that this command belongs to.
const modulePath = "github.com/secgear/secgear"

// checkout is the source of secgear, which projects are built against.
type checkout struct {
	dir       string
	goVersion string // that its go.mod asks for
	goSum     []byte
}

var (
	moduleLine = regexp.MustCompile(`(?m)^module\s+` + regexp.QuoteMeta(modulePath) + `\s*$`)
	goLine     = regexp.MustCompile(`(?m)^go\s+(\S+)\s*$`)
)

// findCheckout finds the source in dir or, if that is empty, where this command
// was built from.
func findCheckout(dir string) (*checkout, error) {
	if dir != "" {
		c, err := openCheckout(dir)
		if err == nil && c == nil {
			err = fmt.Errorf("%s is not the source of %s", dir, modulePath)
		}
		if err != nil {
			return nil, fmt.Errorf("finding the source of secgear: %w", err)
		}
		return c, nil
	}
	for _, start := range checkoutCandidates() {
		for dir := start; ; dir = filepath.Dir(dir) {
			c, err := openCheckout(dir)
			if err != nil {
				return nil, fmt.Errorf("finding the source of secgear: %w", err)
			}
			if c != nil {
				return c, nil
			}
			if filepath.Dir(dir) == dir {
				break
			}
		}
	}
	return nil, hint(errors.New("finding the source of secgear: this command does not know where it came from"),
		"name the directory with --secgear")
}

// checkoutCandidates are directories in the source, or below it: that of this
// file when the command was built, that of the command, and the current one.
func checkoutCandidates() []string {
	var list []string
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		list = append(list, filepath.Dir(file))
	}
	if exe, err := os.Executable(); err == nil {
		if exe, err = filepath.EvalSymlinks(exe); err == nil {
			list = append(list, filepath.Dir(exe))
		}
	}
	if dir, err := os.Getwd(); err == nil {
		list = append(list, dir)
	}
	return list
}

// openCheckout returns the checkout in dir, or nil if dir is none.
func openCheckout(dir string) (*checkout, error) {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if errors.Is(err, os.ErrNotExist) || err == nil && !moduleLine.Match(mod) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	version := goLine.FindSubmatch(mod)
	if version == nil {
		return nil, fmt.Errorf("%s has no go line", filepath.Join(dir, "go.mod"))
	}
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	return &checkout{dir: dir, goVersion: string(version[1]), goSum: sum}, nil
}

// used are the packages of secgear that a project stands on.
var used = []string{"cmd/secgear", "sdk/call", "sdk/enclave", "sdk/enclavetest", "sdk/host", "sdk/tee/all"}

// dependencies are the modules that secgear needs, as "path version".
type dependencies []string

// dependencies asks the go command for the modules that the packages in used
// need, so that the project does not have to look for them. It refuses a module
// whose path would hide a package of the standard library.
func (i *invocation) dependencies(c *checkout, n projectName) (dependencies, error) {
	root, err := i.goCommand(c, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(n.module, "/")
	if exists(filepath.Join(strings.TrimSpace(root), "src", first)) {
		return nil, hint(fmt.Errorf("%q begins as the standard library's package %q", n.module, first), "take another name, as example.com/%s", n.dir)
	}
	args := []string{"list", "-deps", "-f", `{{with .Module}}{{if .Version}}{{.Path}} {{.Version}}{{end}}{{end}}`}
	for _, p := range used {
		args = append(args, modulePath+"/"+p)
	}
	out, err := i.goCommand(c, args...)
	if err != nil {
		return nil, err
	}
	deps := slices.Sorted(strings.FieldsFuncSeq(out, func(r rune) bool { return r == '\n' }))
	return slices.Compact(deps), nil
}

// goCommand runs the go command in the checkout.
func (i *invocation) goCommand(c *checkout, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "GOOS=linux", "CGO_ENABLED=0")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := process.Run(i, cmd); err != nil {
		return "", fmt.Errorf("asking Go for dependencies: go %s: %w\n%s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// goMod returns the project's go.mod.
func (d dependencies) goMod(n projectName, c *checkout) string {
	var b strings.Builder
	fmt.Fprintf(&b, "module %s\n\ngo %s\n\n", n.module, c.goVersion)
	fmt.Fprintf(&b, "tool %s/cmd/secgear\n\n", modulePath)
	fmt.Fprintf(&b, "require %s v0.0.0\n\n", modulePath)
	switch len(d) {
	case 0:
	case 1:
		fmt.Fprintf(&b, "require %s // indirect\n\n", d[0])
	default:
		b.WriteString("require (\n")
		for _, m := range d {
			fmt.Fprintf(&b, "\t%s // indirect\n", m)
		}
		b.WriteString(")\n\n")
	}
	b.WriteString("// secgear is not published yet: this is its source on this machine.\n")
	fmt.Fprintf(&b, "replace %s => %s\n", modulePath, quoteModPath(c.dir))
	return b.String()
}

// quoteModPath writes a directory as go.mod wants it.
func quoteModPath(dir string) string {
	dir = filepath.ToSlash(dir)
	if strings.ContainsAny(dir, " \"'`()[]{},") {
		return fmt.Sprintf("%q", dir)
	}
	return dir
}
