package main

import (
	"errors"
	"fmt"

	"github.com/secgear/secgear/sdk/idl"
)

func runGenerate(i *invocation) error {
	check := i.flags.Bool("check", false, "change nothing: fail if a file is not what would be written")
	dirs, err := i.parse(0, 1000)
	if err != nil {
		return err
	}
	if len(dirs) == 0 {
		dirs = []string{"."}
	}
	var faults []error
	for _, dir := range dirs {
		if *check {
			err = idl.Check(dir)
		} else {
			_, err = idl.Generate(dir)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("generating stubs in %s: %w", dir, err))
		}
	}
	err = errors.Join(faults...)
	if errors.Is(err, idl.ErrStale) {
		return hint(err, "run secgear generate, or go generate, and commit what it writes")
	}
	return err
}
