package idl

import (
	"fmt"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/secgear/secgear/sdk/idl/edl"
	"github.com/secgear/secgear/sdk/idl/goread"
	"github.com/secgear/secgear/sdk/idl/model"
)

// EDL says what is made of an EDL file, and where.
type EDL struct {
	edl.Options
	Path string // of the file
	Dir  string // of the package; if empty, a folder beside the file that is called like it
	C    string // folder for the host's side in C, over sdk/c; if empty, none is written
}

// Generate writes the Go contract of the EDL file, and the stubs of the package
// that it becomes a part of as [Generate] does. It returns the paths of the
// files that it changed and what there is to warn of. If the EDL is faulty the
// error is a [model.Faults] with every fault, and nothing is written.
func (g EDL) Generate() (written []string, warnings model.Faults, err error) {
	files, warnings, err := g.files()
	if err != nil {
		return nil, warnings, err
	}
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			return nil, warnings, fmt.Errorf("writing the contract: %w", err)
		}
	}
	written, err = replaceAll(files)
	return written, warnings, err
}

// Check compares what [EDL.Generate] would write with what is there and changes
// nothing. An error that matches [ErrStale] names the files that differ.
func (g EDL) Check() (warnings model.Faults, err error) {
	files, warnings, err := g.files()
	if err != nil {
		return warnings, err
	}
	return warnings, compare(files)
}

// files returns what is to be written, the contract first.
func (g EDL) files() ([]file, model.Faults, error) {
	e, err := edl.Read(g.Path, g.Options)
	if err != nil {
		if e == nil {
			return nil, nil, err
		}
		return nil, e.Warnings, err
	}
	dir := g.Dir
	if dir == "" {
		dir = filepath.Join(filepath.Dir(e.Path), packageName(e.Name))
	}
	files, err := contractFiles(e, dir, g.C)
	return files, e.Warnings, err
}

func contractFiles(e *edl.Enclave, dir, c string) ([]file, error) {
	name := packageName(e.Name) + "_edl.go"
	pkg, taken, faults, err := goread.Declared(dir, name, CodeFile, TestFile)
	if err != nil {
		return nil, err
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	if pkg == "" {
		if pkg, err = packageOf(dir); err != nil {
			return nil, err
		}
	}
	declared := map[string]bool{}
	for id := range taken {
		declared[id] = true
	}
	src, err := e.Go(pkg, declared)
	if err != nil {
		return nil, err
	}
	files := []file{{path: filepath.Join(dir, name), data: src}}
	if e.Functions() {
		p, faults, err := goread.ReadWith(dir, map[string][]byte{name: src}, CodeFile, TestFile)
		if err != nil {
			return nil, err
		}
		stubs, err := stubsOf(dir, p, faults)
		if err != nil {
			return nil, err
		}
		files = append(files, stubs...)
		if c != "" {
			host, err := hostFiles(e, p, declared, c)
			if err != nil {
				return nil, err
			}
			files = append(files, host...)
		}
		if p.Path == p.Name {
			e.Warnings.Addf(start(e), "%s is in no module (no go.mod there or above): the contracts are called %s.%s and %s.%s until it is",
				dir, pkg, edl.TrustedName, pkg, edl.UntrustedName)
		}
	} else {
		e.Warnings.Addf(start(e), "%s has no functions: only its types are written", e.Path)
	}
	return files, readOld(files)
}

// hostFiles returns the host's side in C of contract Trusted in p.
func hostFiles(e *edl.Enclave, p *model.Package, declared map[string]bool, dir string) ([]file, error) {
	for _, c := range p.Contracts {
		if c.Name != edl.TrustedName {
			continue
		}
		host, err := e.C(c.ID(p), declared)
		if err != nil {
			return nil, err
		}
		base := filepath.Join(dir, e.Name)
		return []file{{path: base + "_u.h", data: host.Header}, {path: base + "_u.c", data: host.Source}}, nil
	}
	e.Warnings.Addf(start(e), "%s has no trusted functions: there is nothing to write in C", e.Path)
	return nil, nil
}

func start(e *edl.Enclave) token.Position {
	return token.Position{Filename: e.Path, Line: 1, Column: 1}
}

// packageOf returns the name of a package that dir is to hold.
func packageOf(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("naming the package: %w", err)
	}
	return packageName(filepath.Base(abs)), nil
}

// packageName makes a package's name of a file's: lower case, without what Go
// does not allow.
func packageName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
	if name == "" || unicode.IsDigit(rune(name[0])) || token.IsKeyword(name) || name == "main" {
		name = "edl" + name
	}
	return name
}
