// Command teetable runs the conformance suite of every TEE and prints a row for
// each TEE and architecture, with what became of each group of tests.
//
//	teetable [-json] [package…]
//
// It runs in the folder of secgear's module. Without packages named it prints the
// README's table of TEEs as well, in which those are that can't be run, and compares
// the two. Its status is 1 if a test failed, or the README says something else.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

func main() {
	asJSON := flag.Bool("json", false, "print a JSON object per row instead of a table")
	flag.Parse()
	if err := run(os.Stdout, *asJSON, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "teetable:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, asJSON bool, packages []string) error {
	all := len(packages) == 0
	if all {
		packages = []string{"./sdk/tee/..."}
	}
	args := append([]string{"test", "-json", "-count=1", "-vet=off", "-timeout=40m", "-run=^TestConformance$"}, packages...)
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "SECGEAR_TEST_TEES=all")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	rows, failed, readErr := read(out)
	if readErr != nil {
		io.Copy(io.Discard, out) // lets go test end
	}
	waitErr := cmd.Wait()
	if readErr != nil {
		return fmt.Errorf("reading what go test says: %w", readErr)
	}
	if asJSON {
		enc := json.NewEncoder(w)
		for _, r := range rows {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
	} else if err := print(w, rows); err != nil {
		return err
	}
	faults, err := compare(w, rows, asJSON || !all)
	if err != nil {
		return err
	}
	switch {
	case failed != "":
		return fmt.Errorf("tests failed:\n%s", failed)
	case waitErr != nil:
		return fmt.Errorf("go test: %w", waitErr)
	case len(rows) == 0:
		return fmt.Errorf("no conformance test was found")
	case len(faults) > 0:
		return fmt.Errorf("the README's table is not true:\n%s", strings.Join(faults, "\n"))
	}
	return nil
}

// compare prints the table that the README carries, unless quiet, and returns where
// it is not what was run.
func compare(w io.Writer, rows []*row, quiet bool) ([]string, error) {
	if quiet {
		return nil, nil
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		return nil, err
	}
	claims, err := readClaims(string(readme))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "\nWhat the README says:\n")
	for _, c := range claims {
		fmt.Fprintln(w, c.line)
	}
	return drift(claims, rows), nil
}
