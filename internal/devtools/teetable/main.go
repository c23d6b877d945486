// Command teetable runs the conformance suite of every TEE and prints a row for
// each TEE and architecture, with what became of each group of tests.
//
//	teetable [-json] [package…]
//
// It runs in the folder of secgear's module. Its status is 1 if a test failed.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
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
	if len(packages) == 0 {
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
	switch {
	case failed != "":
		return fmt.Errorf("tests failed:\n%s", failed)
	case waitErr != nil:
		return fmt.Errorf("go test: %w", waitErr)
	case len(rows) == 0:
		return fmt.Errorf("no conformance test was found")
	}
	return nil
}
