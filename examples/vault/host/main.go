// The host: the ordinary program that loads the enclave, has it seal a file and
// open it again, and tells how fast that was. "make run" runs it.
//
// Look at run in this file first, which is the whole story, and then at job.go,
// which keeps several calls under way at once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/secgear/secgear/examples/vault"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/tee/all"
)

// options are what the command line says.
type options struct {
	image   string // the enclave's
	file    string // to seal; empty: one made of Go's sources
	json    bool   // print the report as JSON
	measure time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.image, "image", os.Getenv("SECGEAR_IMAGE"), "load the enclave `image` of this name; secgear run sets it")
	flag.StringVar(&o.file, "file", "", "seal the `file` of this name (default: one made of Go's own sources)")
	flag.BoolVar(&o.json, "json", false, "print the report as a JSON object")
	flag.DurationVar(&o.measure, "measure", 6*time.Second, "compare speeds for this long")
	flag.Parse()
	if o.image == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "vault: name the enclave's image with --image and a file with --file")
		fmt.Fprintln(os.Stderr, "hint: secgear run ./examples/vault builds the image and names it")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	show := &display{newProgress(os.Stderr), &report{out: os.Stdout, asJSON: o.json}}
	err := run(ctx, o, show)
	switch {
	case err == nil:
		return
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "vault: interrupted")
	default:
		fmt.Fprintln(os.Stderr, "vault:", err)
	}
	os.Exit(1)
}

// display is what the user sees meanwhile, and what stays.
type display struct {
	*progress
	*report
}

// run does it all. However it ends, nothing is left behind: Close ends the
// enclave, with all the memory shared with it, and temporary files have no name
// to be left under.
func run(ctx context.Context, o options, show *display) (err error) {
	// Load checks the image's signature, picks the strongest TEE that this
	// machine has, and returns when the enclave can be called.
	began := time.Now()
	e, err := host.Load(ctx, o.image, host.Options{
		Backends: all.Backends(),
		Log:      slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	show.loaded(e, time.Since(began))

	plain, err := openSource(ctx, o.file, show.progress)
	if err != nil {
		return err
	}
	defer plain.Close()
	sealed, err := temporary(sealedSize(plain.size))
	if err != nil {
		return err
	}
	defer sealed.Close()

	// Seal the file and open it again, through memory that both sides share.
	roads, err := newRoads(ctx, e)
	if err != nil {
		return err
	}
	j := job{enclave: vault.NewVaultClient(e), roads: roads.best(), plain: plain, size: plain.size, sealed: sealed}
	if err := j.run(ctx, show.progress); err != nil {
		return err
	}
	show.sealed(plain, j)

	// Let pieces of it take each road in turn, to compare them.
	m, err := measure(ctx, j, roads, vault.NewDetoursClient(e), o.measure, show.progress)
	if err != nil {
		return err
	}
	show.compared(m)
	return errors.Join(show.end(), roads.free())
}
