package edl

import (
	"errors"
	"fmt"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/secgear/secgear/sdk/idl/model"
)

// MaxFile is how large an EDL file may be, in bytes.
const MaxFile = 16 << 20

// Options say how an EDL file is read. The zero value reads secGear's dialect.
type Options struct {
	Dialect     Dialect
	TrustZone   bool     // secGear's rules for TrustZone, which are stricter
	SearchPaths []string // folders in which imported files are looked for, and the file itself
	Defines     []string // NAME or NAME=VALUE, as after -D
}

// Enclave is an EDL file with all that it imports, checked.
type Enclave struct {
	Name      string // of the file, without folder and extension
	Path      string
	Dialect   Dialect
	Includes  []Include
	Types     []*Composite
	Trusted   []*Function
	Untrusted []*Function

	// Warnings are what the original generators warn of, and what crosses
	// otherwise than a reader of the EDL may think.
	Warnings model.Faults

	types  map[string]*Composite
	values map[string]int64 // of enums
}

// Read reads the EDL file at path, or of that name in one of the search paths,
// and what it imports. If anything is wrong with them the error is a
// [model.Faults] with every fault; the Enclave then has the warnings only.
func Read(path string, o Options) (*Enclave, error) {
	return read(path, o, os.ReadFile)
}

// loader reads files, each once.
type loader struct {
	Options
	readFile func(string) ([]byte, error)
	macros   map[string]macro
	faults   model.Faults
	warnings model.Faults
	units    map[string]*unit
	stack    []string // files that are being read, to find cycles
}

func read(path string, o Options, readFile func(string) ([]byte, error)) (*Enclave, error) {
	l := &loader{Options: o, readFile: readFile, units: map[string]*unit{}}
	l.macros = defines(o.Defines, &l.faults)
	found, text, err := l.find(path, "")
	if err != nil {
		return nil, fmt.Errorf("reading EDL: %w", err)
	}
	u := l.unit(found, text)
	e := l.enclave(u)
	if err := l.faults.Err(); err != nil {
		return &Enclave{Warnings: l.warnings}, err
	}
	if err := l.warnings.Err(); err != nil {
		e.Warnings = err.(model.Faults) // sorted, without repetitions
	}
	return e, nil
}

// find reads the file called name: in the search paths, from the working
// directory, or beside the file that imports it. The original generators differ
// in whether the working directory comes first or last.
func (l *loader) find(name, beside string) (path string, text []byte, err error) {
	candidates := []string{name}
	if !filepath.IsAbs(name) {
		for _, dir := range l.SearchPaths {
			candidates = append(candidates, filepath.Join(dir, name))
		}
		if l.Dialect != OpenEnclave && beside != "" {
			candidates = append(candidates[1:], name)
		}
		if beside != "" {
			candidates = append(candidates, filepath.Join(filepath.Dir(beside), name))
		}
	}
	for _, path := range candidates {
		text, err = l.readFile(path)
		switch {
		case err == nil && len(text) > MaxFile:
			return "", nil, fmt.Errorf("%s is larger than %d bytes", path, MaxFile)
		case err == nil:
			return path, text, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", nil, err
		}
	}
	return "", nil, fmt.Errorf("file not found within search paths: %s", name)
}

// unit is one file and what it makes available to those that import it.
type unit struct {
	file      *File
	includes  []Include
	types     []*Composite
	trusted   []*Function
	untrusted []*Function
	partial   bool // something of an SDK's own was not there
}

// unit parses a file and its imports, unless it was already.
func (l *loader) unit(path string, text []byte) *unit {
	key := filepath.Clean(path)
	if u := l.units[key]; u != nil {
		return u
	}
	l.stack = append(l.stack, key)
	u := &unit{file: parse(path, string(text), l.macros, l.Dialect, &l.faults)}
	for _, i := range u.file.Imports {
		if from := l.imported(u, i); from != nil {
			l.merge(u, from, i)
		}
	}
	l.own(u)
	l.stack = l.stack[:len(l.stack)-1]
	l.units[key] = u
	return u
}

// imported returns the unit that i names, or nil.
func (l *loader) imported(u *unit, i *Import) *unit {
	path, text, err := l.find(i.Path, u.file.Path)
	if err != nil {
		if isSDK(i.Path) {
			u.partial = true
			l.warnings.Addf(i.Pos, "%s is not there; it belongs to the SDK, whose own functions are not needed here", i.Path)
			return nil
		}
		l.faults.Addf(i.Pos, "%s", strings.ToUpper(err.Error()[:1])+err.Error()[1:])
		return nil
	}
	if slices.Contains(l.stack, filepath.Clean(path)) {
		if l.Dialect == OpenEnclave {
			l.faults.Addf(i.Pos, "recursive import detected: %s", strings.Join(append(l.stack, path), " → "))
		} else {
			l.faults.Addf(i.Pos, "detected circled import for `%s'", path)
		}
		return nil
	}
	return l.unit(path, text)
}

// isSDK reports whether the file is one that the SGX SDK, secGear or Open
// Enclave install, with functions for their own runtimes.
func isSDK(path string) bool {
	base := filepath.Base(path)
	return strings.HasPrefix(base, "sgx_") || strings.HasPrefix(base, "secgear_") || strings.HasPrefix(path, "openenclave/")
}

// merge adds to u what i imports: all types and headers, and the functions
// that it names.
func (l *loader) merge(u, from *unit, i *Import) {
	u.partial = u.partial || from.partial
	u.includes = append(u.includes, from.includes...)
	for _, t := range from.types {
		l.addType(u, t)
	}
	wanted := map[string]bool{}
	for _, n := range i.Names {
		wanted[n.Text] = true
	}
	found := map[string]bool{}
	for _, f := range from.trusted {
		if found[f.Name] = true; i.All || wanted[f.Name] {
			l.addFunction(u, &u.trusted, f, i)
		}
	}
	for _, f := range from.untrusted {
		if found[f.Name] = true; i.All || wanted[f.Name] {
			l.addFunction(u, &u.untrusted, f, i)
		}
	}
	for _, n := range i.Names {
		switch {
		case found[n.Text] || from.partial:
		case l.Dialect == OpenEnclave:
			l.faults.Addf(n.Pos, "function %s not found in imported edl.", n.Text)
		default:
			l.faults.Addf(n.Pos, "import failed - functions `%s' not found", n.Text)
		}
	}
}

// own adds what the file itself declares: its functions before imported ones,
// as the original generators number them.
func (l *loader) own(u *unit) {
	u.includes = append(u.includes, u.file.Includes...)
	for _, t := range u.file.Types {
		l.addType(u, t)
	}
	trusted, untrusted := u.trusted, u.untrusted
	u.trusted, u.untrusted = nil, nil
	for _, f := range u.file.Trusted {
		l.addFunction(u, &u.trusted, f, nil)
	}
	for _, f := range u.file.Untrusted {
		l.addFunction(u, &u.untrusted, f, nil)
	}
	for _, f := range trusted {
		l.addFunction(u, &u.trusted, f, nil)
	}
	for _, f := range untrusted {
		l.addFunction(u, &u.untrusted, f, nil)
	}
}

func (l *loader) addType(u *unit, t *Composite) {
	for _, have := range u.types {
		switch {
		case have == t:
			return
		case have.Name != t.Name || t.Name == "":
		case l.Dialect == OpenEnclave:
			l.faults.Addf(later(u, t.Pos, have.Pos), "Duplicate type definition detected for %s", t.Name)
			return
		case t.Shape == StructShape && have.Shape == StructShape:
			l.faults.Addf(later(u, t.Pos, have.Pos), "duplicated structure definition `%s'", t.Name)
			return
		default:
			l.faults.Addf(later(u, t.Pos, have.Pos), "duplicated definition of type `%s'", t.Name)
			return
		}
	}
	u.types = append(u.types, t)
}

func (l *loader) addFunction(u *unit, to *[]*Function, f *Function, i *Import) {
	for _, have := range slices.Concat(u.trusted, u.untrusted) {
		if have == f {
			return
		}
		if have.Name != f.Name {
			continue
		}
		pos := later(u, f.Pos, have.Pos)
		if pos.Filename != u.file.Path && i != nil {
			pos = i.Pos
		}
		if l.Dialect == OpenEnclave {
			l.faults.Addf(pos, "Duplicate function definition detected for %s", f.Name)
		} else {
			l.faults.Addf(pos, "Multiple definition of function \"%s\" detected.", f.Name)
		}
		return
	}
	*to = append(*to, f)
}

// later returns which of two clashing declarations to blame: the one in u's own
// file, and there the second.
func later(u *unit, a, b token.Position) token.Position {
	if b.Filename == u.file.Path && (a.Filename != u.file.Path || b.Offset > a.Offset) {
		return b
	}
	return a
}

// enclave checks u, all of whose imports are merged.
func (l *loader) enclave(u *unit) *Enclave {
	e := &Enclave{
		Name: u.file.Name, Path: u.file.Path, Dialect: l.Dialect,
		Includes: u.includes, Types: u.types, Trusted: u.trusted, Untrusted: u.untrusted,
		types: map[string]*Composite{}, values: map[string]int64{},
	}
	for _, t := range e.Types {
		if t.Name != "" {
			e.types[t.Name] = t
		}
	}
	c := &checker{Enclave: e, options: l.Options, faults: &l.faults, warnings: &l.warnings, seen: map[string]bool{}, partial: u.partial}
	c.check()
	return e
}
