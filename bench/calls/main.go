// Command calls measures what a call into an enclave costs, next to the limit
// that the machine sets (a C program that plays cache lines between two
// processors), to a Unix socket and to gRPC over one.
//
//	calls [-json] [-check] [-only name] [-seconds n]
//
// It loads a real enclave, in the simulation, calls it through generated stubs
// and prints one JSON object per line: name, value, unit, goal and what else
// helps to judge them. On a terminal it also says what each line means.
//
// The contenders are processes of their own and take turns of milliseconds;
// see package regime for why, and for what counts. Everything runs on two
// processors, so that results of different machines can be compared. The peers
// play in the placement that suits them best: both processes on one processor,
// on one each, or unpinned.
//
// The exit code is 0 also where a goal is missed, unless -check is given.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/bench/internal/peer"
)

func main() {
	peer.Main(map[string]func() error{candidateRole: runCandidate})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the command; it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fail := func(code int, err error) int {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintf(stderr, "calls: %v\n", err)
		return code
	}
	c, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return fail(2, err)
	}
	s, end, err := open(ctx, stderr)
	if err != nil {
		return fail(1, err)
	}
	missed, err := report(ctx, s, c, stdout)
	if err := errors.Join(err, end()); err != nil {
		return fail(1, err)
	}
	if c.check && len(missed) > 0 {
		return fail(1, fmt.Errorf("goals missed: %s", strings.Join(missed, ", ")))
	}
	return 0
}

// config is what the command line asks for.
type config struct {
	options
	json  bool
	check bool
}

func parseFlags(args []string, stderr io.Writer) (config, error) {
	var (
		c     config
		flags = flag.NewFlagSet("calls", flag.ContinueOnError)
	)
	flags.SetOutput(stderr)
	flags.BoolVar(&c.json, "json", false, "print nothing but JSON, on a terminal too")
	flags.BoolVar(&c.check, "check", false, "exit with 1 if a goal is missed")
	flags.StringVar(&c.only, "only", "", "measure the line of this `name` alone")
	seconds := flags.Float64("seconds", 10, "`time` to compare contenders in, per comparison")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if c.only != "" && !slices.Contains(allNames(), c.only) {
		return c, fmt.Errorf("no line %q; there are: %s", c.only, strings.Join(allNames(), ", "))
	}
	if !(*seconds > 0 && *seconds <= 3600) {
		return c, fmt.Errorf("%v seconds are not between 0 and 3600", *seconds)
	}
	c.seconds = time.Duration(*seconds * float64(time.Second))
	return c, nil
}

// report measures, prints, and returns the names of lines that miss their goal.
func report(ctx context.Context, s *stage, c config, stdout io.Writer) ([]string, error) {
	var missed []string
	p := printer{to: stdout, words: !c.json && terminal(stdout)}
	err := s.measure(ctx, c.options, func(l line) error {
		if l.missed() {
			missed = append(missed, l.Name)
		}
		return p.print(l)
	})
	return missed, err
}

// progress says on a terminal what is being done, and nothing elsewhere.
func progress(stderr io.Writer) func(string, ...any) {
	if !terminal(stderr) {
		return func(string, ...any) {}
	}
	return func(format string, args ...any) {
		fmt.Fprintf(stderr, "… "+format+"\n", args...)
	}
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
