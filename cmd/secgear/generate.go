package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/secgear/secgear/sdk/idl"
	"github.com/secgear/secgear/sdk/idl/edl"
	"github.com/secgear/secgear/sdk/idl/model"
)

func runGenerate(i *invocation) error {
	check := i.flags.Bool("check", false, "change nothing: fail if a file is not what would be written")
	e := edlFlags(i)
	i.args = spaced(i.args, "-D")
	sources, err := i.parse(0, 1000)
	if err != nil {
		return err
	}
	if len(sources) == 0 {
		sources = []string{"."}
	}
	var faults []error
	for _, source := range sources {
		if isEDL(source) {
			err = e.generate(i, source, *check)
		} else {
			err = generateStubs(source, *check)
		}
		if err != nil {
			faults = append(faults, err)
		}
	}
	err = errors.Join(faults...)
	if errors.Is(err, idl.ErrStale) {
		return hint(err, "run secgear generate, or go generate, and commit what it writes")
	}
	return err
}

// generateStubs writes or checks the stubs of the contracts in dir.
func generateStubs(dir string, check bool) (err error) {
	if check {
		err = idl.Check(dir)
	} else {
		_, err = idl.Generate(dir)
	}
	if err != nil {
		return fmt.Errorf("generating stubs in %s: %w", dir, err)
	}
	return nil
}

func isEDL(source string) bool { return strings.EqualFold(filepath.Ext(source), ".edl") }

// edlOptions are the flags for EDL files.
type edlOptions struct {
	edl.Options
	out, c string
}

func edlFlags(i *invocation) *edlOptions {
	e := &edlOptions{}
	i.flags.Func("dialect", "EDL: whose rules hold: `secgear` (the default), sgx or openenclave", func(name string) error {
		d, ok := edl.ParseDialect(name)
		if !ok {
			return errors.New("the dialects are secgear, sgx and openenclave")
		}
		e.Dialect = d
		return nil
	})
	i.flags.Func("search-path", "EDL: look for files in `DIR` (may be repeated, or several with : between)", func(dirs string) error {
		e.SearchPaths = append(e.SearchPaths, filepath.SplitList(dirs)...)
		return nil
	})
	i.flags.Func("D", "EDL: define `NAME[=VALUE]` for the preprocessor (may be repeated)", func(define string) error {
		e.Defines = append(e.Defines, define)
		return nil
	})
	i.flags.BoolVar(&e.TrustZone, "trustzone", false, "EDL: refuse what secGear refuses for TrustZone, such as user_check")
	i.flags.StringVar(&e.out, "out", "", "EDL: write to the package in `DIR` (default: a folder beside the file, called like it)")
	i.flags.StringVar(&e.c, "c", "", "EDL: also write the host's side in C, NAME_u.h and NAME_u.c, to `DIR`")
	return e
}

// generate writes or checks the contract and stubs of the EDL file at path.
func (e *edlOptions) generate(i *invocation, path string, check bool) (err error) {
	g := idl.EDL{Options: e.Options, Path: path, Dir: e.out, C: e.c}
	var warnings model.Faults
	if check {
		warnings, err = g.Check()
	} else {
		_, warnings, err = g.Generate()
	}
	var sorted model.Faults
	if errors.As(warnings.Err(), &sorted) {
		for _, w := range sorted {
			fmt.Fprintf(i.stderr, "%v: warning: %s\n", w.Pos, w.Text)
		}
	}
	var faults model.Faults
	switch {
	case errors.As(err, &faults):
		return fmt.Errorf("generating from %s:\n%w", path, err)
	case err != nil:
		return fmt.Errorf("generating from %s: %w", path, err)
	}
	return nil
}

// spaced parts a flag from a value that is written directly after it, as C
// compilers take it.
func spaced(args []string, flag string) []string {
	var out []string
	for n, a := range args {
		if a == "--" {
			return append(out, args[n:]...)
		}
		value, ok := strings.CutPrefix(a, flag)
		if ok && value != "" && !strings.HasPrefix(value, "=") {
			out = append(out, flag, value)
		} else {
			out = append(out, a)
		}
	}
	return out
}
