// Secgear builds, signs, inspects and runs enclaves. "secgear help" lists its
// commands.
//
// It ends with status 0, with 1 when something failed and with 2 when it was
// not called right; "secgear run" ends with the status of the program it runs.
// Results go to standard output, everything else to standard error. What it
// writes it writes whole or not at all.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	status := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// commands in the order of "secgear help".
var commands = []command{
	{"new", "[flags] NAME", "makes a project: contract, enclave, host, test", runNew},
	{"generate", "[flags] [dir | file.edl …]", "writes the stubs of contracts", runGenerate},
	{"run", "[flags] [dir] [-- arguments of the host]", "builds and runs a project", runRun},
	{"build", "[flags] [dir]", "builds an enclave image", runBuild},
	{"sign", "[flags] IMAGE", "signs an image, in one step or in two", runSign},
	{"encrypt", "[flags] IMAGE", "encrypts the program of an image that is not signed yet", runEncrypt},
	{"key", "new|image|id [flags]", "makes a key to sign or to encrypt images, or tells its ID", runKey},
	{"inspect", "[flags] IMAGE", "shows what is in an image and who signed it", runInspect},
	{"digest", "[flags] IMAGE", "prints an image's digest", runDigest},
	{"gramine", "[flags] IMAGE", "writes what gramine-sgx-sign signs for SGX", runGramine},
	{"tee", "[flags] [TEE]", "lists TEEs, what this machine lacks of them and what to do", runTEE},
	{"ps", "[flags]", "lists running enclaves", runPS},
	{"top", "[flags]", "shows running enclaves, live", runTop},
	{"pprof", "[flags] NAME KIND", "takes a profile of a running enclave", runPprof},
	{"version", "[flags]", "prints the version of secgear", runVersion},
}

// command is one subcommand.
type command struct {
	name, args, about string
	run               func(*invocation) error
}

// invocation is one use of a command.
type invocation struct {
	context.Context
	flags          *flag.FlagSet
	args           []string // not yet parsed
	stdout, stderr *os.File
}

// execute runs the command that args name and returns the exit status.
func execute(ctx context.Context, args []string, stdout, stderr *os.File) int {
	if len(args) == 0 {
		usage(stderr)
		return 2
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" {
		if len(args) == 1 {
			usage(stdout)
			return 0
		}
		args = []string{args[1], "-h"}
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.execute(&invocation{Context: ctx, args: args[1:], stdout: stdout, stderr: stderr})
		}
	}
	fmt.Fprintf(stderr, "secgear: there is no command %q\nhint: secgear help lists the commands\n", args[0])
	return 2
}

// execute runs the command and tells of its failure.
func (c command) execute(i *invocation) int {
	i.flags = flag.NewFlagSet(c.name, flag.ContinueOnError)
	i.flags.SetOutput(io.Discard)
	i.flags.Usage = func() {}
	err := c.run(i)
	var exit exitStatus
	var wrong *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return int(exit)
	case errors.Is(err, flag.ErrHelp):
		c.usage(i.stdout, i.flags)
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintf(i.stderr, "secgear: %v\nusage: secgear %s %s\nhint: secgear help %s tells more\n", err, c.name, c.args, c.name)
		return 2
	case i.Err() != nil:
		fmt.Fprintln(i.stderr, "secgear: interrupted")
		return 1
	}
	fmt.Fprintf(i.stderr, "secgear: %v\n", err)
	var h *hinted
	if errors.As(err, &h) {
		fmt.Fprintf(i.stderr, "hint: %s\n", h.hint)
	}
	return 1
}

// usage lists the commands.
func usage(w io.Writer) {
	fmt.Fprint(w, "usage: secgear COMMAND …\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-9s %s\n", c.name, c.about)
	}
	fmt.Fprint(w, "\nMore on each: secgear help COMMAND\n")
}

// usage explains one command.
func (c command) usage(w io.Writer, flags *flag.FlagSet) {
	fmt.Fprintf(w, "usage: secgear %s %s\n\nsecgear %s %s.\n", c.name, c.args, c.name, c.about)
	if text := details[c.name]; text != "" {
		fmt.Fprintf(w, "\n%s\n", text)
	}
	found := false
	flags.VisitAll(func(*flag.Flag) { found = true })
	if found {
		fmt.Fprint(w, "\nflags:\n")
		flags.SetOutput(w)
		flags.PrintDefaults()
	}
}

// parse parses flags, which may stand before, between and after the other
// arguments, of which there must be between low and high.
func (i *invocation) parse(low, high int) ([]string, error) {
	var rest []string
	for args := i.args; ; {
		if err := i.flags.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil, err
		} else if err != nil {
			return nil, misuse("%v", err)
		}
		args = i.flags.Args()
		if len(args) == 0 {
			break
		}
		rest, args = append(rest, args[0]), args[1:]
	}
	switch {
	case len(rest) < low:
		return nil, misuse("%s: an argument is missing", i.flags.Name())
	case len(rest) > high:
		return nil, misuse("%s: too many arguments: %s", i.flags.Name(), strings.Join(rest[high:], " "))
	}
	return rest, nil
}

// json adds the flag for output that scripts read.
func (i *invocation) json() *bool {
	return i.flags.Bool("json", false, "print the result as a JSON object")
}

// printJSON prints v on a line of its own, or indented if somebody looks.
func (i *invocation) printJSON(v any) error {
	enc := json.NewEncoder(i.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// exitStatus ends secgear with that status, without a message.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// usageError is a mistake in how secgear was called.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func misuse(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// hinted is an error with advice on what to do.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

// hint adds advice to err.
func hint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}
