// The host: the ordinary program that loads the enclave and calls it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"time"

	demo "example.com/template"

	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/tee/all"
)

func main() {
	image := flag.String("image", os.Getenv("SECGEAR_IMAGE"), "enclave image to load; secgear run sets it")
	name := flag.String("name", "world", "whom to greet")
	flag.Parse()
	if *image == "" {
		fmt.Fprintln(os.Stderr, "demo: name the enclave image with --image, or start this with secgear run")
		os.Exit(2)
	}
	if err := run(context.Background(), *image, *name); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run loads the enclave, calls it once and ends it.
func run(ctx context.Context, image, name string) (err error) {
	e, err := host.Load(ctx, image, host.Options{
		Backends: all.Backends(),
		Services: func(e *host.Enclave) { demo.RegisterClock(e, clock{}) },
		Log:      slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	defer func() {
		if closed := e.Close(); err == nil {
			err = closed
		}
	}()
	text, err := demo.NewGreeterClient(e).Hello(ctx, name)
	if err != nil {
		return err
	}
	fmt.Printf("%s (said by an enclave in TEE %s)\n", text, e.TEE())
	return nil
}

// clock implements demo.Clock.
type clock struct{}

func (clock) Now(context.Context) (time.Time, error) { return time.Now(), nil }
