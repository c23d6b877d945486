// The enclave: the program that runs in the TEE. What it may use and who may
// use it stands in secgear.json.
package main

import (
	"context"
	"fmt"

	demo "example.com/template"

	"github.com/secgear/secgear/sdk/enclave"
)

func main() { enclave.Main(setup) }

// setup registers what the enclave serves. Tests call it too.
func setup(e *enclave.Enclave) error {
	demo.RegisterGreeter(e, &greeter{clock: demo.NewClockClient(e)})
	return nil
}

// greeter implements demo.Greeter. Its methods may be called concurrently, with
// arguments that an attacker chose.
type greeter struct {
	clock demo.Clock
}

func (g *greeter) Hello(ctx context.Context, name string) (string, error) {
	if name == "" {
		return "", demo.ErrNobody
	}
	now, err := g.clock.Now(ctx)
	if err != nil {
		return "", fmt.Errorf("asking for the time: %w", err)
	}
	return fmt.Sprintf("Good %s, %s!", partOfDay(now.Hour()), name), nil
}

// partOfDay names the part of the day that an hour is in.
func partOfDay(hour int) string {
	switch {
	case hour < 12:
		return "morning"
	case hour < 18:
		return "afternoon"
	}
	return "evening"
}
