// Command tees compares the TEEs that this machine has with the sandbox of the
// simulation: how long they take to start, how fast calls into them are, and what
// they weigh.
//
//	tees [-tee name,…] [-seconds n]
//
// It loads an enclave in the sandbox and in one TEE after the other, calls both
// in turns of some milliseconds, and prints one JSON object per line: tee, name,
// value, unit, goal. A ratio is the median over pairs of turns, so that what
// disturbs the machine disturbs both.
package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/build"
	"github.com/secgear/secgear/sdk/image/imagefile"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/all"
)

// sandbox is the TEE that the others are compared with.
const sandbox = "sim"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	names := flag.String("tee", "", "measure the TEEs of these `names` (default: all that are here)")
	seconds := flag.Float64("seconds", 10, "`time` to compare in, for each comparison")
	flag.Parse()
	if flag.NArg() > 0 || !(*seconds > 0 && *seconds <= 3600) {
		flag.Usage()
		os.Exit(2)
	}
	b := bench{to: os.Stdout, time: time.Duration(*seconds * float64(time.Second))}
	if err := b.run(ctx, *names); err != nil {
		fmt.Fprintln(os.Stderr, "tees:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	to    io.Writer
	time  time.Duration
	image *image.Image
	state string
}

// line is one result. Value is null if it could not be measured.
type line struct {
	TEE     string         `json:"tee"`
	Name    string         `json:"name"`
	Value   *float64       `json:"value"`
	Unit    string         `json:"unit"`
	Goal    *float64       `json:"goal"` // at most; null if there is none
	Met     *bool          `json:"met,omitempty"`
	Details map[string]any `json:"details,omitempty"`
	Error   string         `json:"error,omitempty"`
}

func (b *bench) run(ctx context.Context, names string) (err error) {
	if b.state, err = os.MkdirTemp("", "secgear-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.state)) }()
	if b.image, err = buildImage(ctx); err != nil {
		return err
	}
	backends, err := choose(all.Backends(), names)
	if err != nil {
		return err
	}
	for _, t := range backends {
		if err := b.compare(ctx, t); err != nil {
			return fmt.Errorf("TEE %s: %w", t, err)
		}
	}
	return nil
}

// choose returns the names of the TEEs to measure.
func choose(backends []tee.Backend, names string) (chosen []string, err error) {
	for _, b := range backends {
		asked := slices.Contains(strings.Split(names, ","), b.Name())
		status := b.Probe()
		switch {
		case names != "" && !asked:
		case status.Available:
			chosen = append(chosen, b.Name())
		case asked:
			return nil, fmt.Errorf("TEE %s is not here: %+v", b.Name(), status.Missing)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("there is no TEE %q", names)
	}
	return chosen, nil
}

// buildImage builds the enclave, signed with a key that nobody keeps. The program
// runs in the benchmarks' module.
func buildImage(ctx context.Context) (*image.Image, error) {
	unsigned, err := build.Image(ctx, build.Options{Dir: filepath.Join("echo", "enclave")})
	if err != nil {
		return nil, fmt.Errorf("building the enclave (run me in the bench folder): %w", err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	signed, err := imagefile.Sign(unsigned, key)
	if err != nil {
		return nil, err
	}
	return imagefile.Verify(signed)
}

// print prints a line of a TEE. A goal of zero is none.
func (b *bench) print(l line, value, goal float64) error {
	l.Value = &value
	if goal > 0 {
		met := value <= goal
		l.Goal, l.Met = &goal, &met
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(b.to, "%s\n", text)
	return err
}
