// Leftovers runs a command and fails if anything of it stays behind: a process,
// whatever its parent or session, a file in the temporary folder, state or
// configuration of secgear outside the folders that tests make for themselves, a
// socket, a shared memory object or a mount.
//
//	leftovers [-grace 5s] [-settled] command [argument…]
//
// The command gets folders of its own as TMPDIR, XDG_STATE_HOME,
// XDG_CONFIG_HOME and XDG_RUNTIME_DIR. The exit status is the command's, or 1
// if it succeeded and left something. What it left is named, then ended or
// removed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

func main() {
	grace := flag.Duration("grace", 5*time.Second, "how long processes may take to end after the command")
	settled := flag.Bool("settled", false, "the command is one that keeps state and configuration")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: leftovers [-grace 5s] [-settled] command [argument…]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	os.Exit(run(flag.Args(), *grace, *settled, os.Stderr))
}

// run runs the command, reports on stderr and returns the exit status.
func run(command []string, grace time.Duration, settled bool, stderr io.Writer) int {
	w, err := newWatch(settled)
	if err != nil {
		return fail(stderr, err)
	}
	status, err := w.start(command)
	left, checkErr := w.leftovers(grace)
	if err := errors.Join(err, checkErr, w.clean()); err != nil {
		return fail(stderr, err)
	}
	if len(left) == 0 {
		return status
	}
	fmt.Fprintf(stderr, "leftovers: %d stayed behind:\n", len(left))
	for _, what := range left {
		fmt.Fprintf(stderr, "\t%s\n", what)
	}
	return max(status, 1)
}

func fail(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "leftovers: %v\n", err)
	return 1
}
