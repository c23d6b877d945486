package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/secgear/secgear/internal/atomicfile"
	"github.com/secgear/secgear/internal/terminal"
	"github.com/secgear/secgear/sdk/host"
)

func runPprof(i *invocation) error {
	out := i.flags.String("o", "", "write the profile to `file` (default: NAME.KIND.pprof)")
	seconds := i.flags.Int("seconds", 10, "how long a CPU profile takes")
	args, err := i.parse(2, 2)
	if err != nil {
		return err
	}
	name, kind := args[0], args[1]
	if *seconds < 1 || *seconds > 300 {
		return misuse("pprof: --seconds must be between 1 and 300")
	}
	file := *out
	if file == "" {
		file = name + "." + kind + ".pprof"
	}
	over := time.Duration(0)
	if kind == "cpu" {
		over = time.Duration(*seconds) * time.Second
	}
	done := terminal.Progress(i.stderr, "taking a profile of "+name)
	data, err := host.ProfileRunning(i, name, kind, over)
	done()
	switch {
	case errors.Is(err, host.ErrNotRunning):
		return hint(fmt.Errorf("taking a profile of %s: %w", name, err), "secgear ps lists what is running")
	case err != nil:
		return hint(fmt.Errorf("taking a profile of %s: %w", name, err), `it takes an image with "debug" in its manifest, of a program that imports sdk/enclave/pprof`)
	}
	if err := atomicfile.Write(file, data, 0o600); err != nil {
		return fmt.Errorf("writing the profile: %w", err)
	}
	_, err = fmt.Fprintf(i.stdout, "wrote %s; next: go tool pprof %s\n", file, file)
	return err
}
