// Package boundarytest plays a hostile peer to a contract's generated code. The
// tests that "secgear generate" writes beside the stubs consist of calls of
// [Run] and [Fuzz].
//
// Both ends are in the test's process: a real lane that the contract's code
// serves or calls over, and at its other end an attacker that has the lane's
// memory and stream to itself (package hostile). No privileges are needed.
//
// What the attacker does is random, from a seed that a failure names; setting
// SECGEAR_SEED to it repeats the same attacks, as far as the scheduling of
// goroutines does.
package boundarytest

import (
	"context"
	"testing"

	"github.com/secgear/secgear/sdk/boundarytest/hostile"
	"github.com/secgear/secgear/sdk/call"
)

// Contract is what the tests need to know of a contract.
type Contract struct {
	Contract *call.Contract
	// Register offers an implementation whose results are zero.
	Register func(call.Registrar)
	// Calls has an entry for each method, in order: it calls the method with
	// zero arguments and drops the results.
	Calls []func(ctx context.Context, to call.Caller) error
}

// Run attacks the contract's dispatcher from the side that calls it, and its
// client from the side that serves it. Whatever the attacker does:
//
//   - nothing crashes, and nothing is written beside the lane's memory;
//   - calls that reach the dispatcher are answered, and calls of the client end
//     at the latest with their context;
//   - calls over another lane of the same service are answered meanwhile;
//   - no byte of what passed over that other lane appears in the attacked one;
//   - memory and goroutines stay bounded, and all of them are given back when
//     the attacked lane is closed;
//   - a new lane works.
//
// It takes a few seconds, less with -short.
func Run(t *testing.T, c Contract) {
	if !hostile.RaceSafe {
		t.Skip("skipped with the race detector: this system lacks memory that it leaves alone")
	}
	s := newSuite(t, c)
	t.Run("service", func(t *testing.T) {
		for _, a := range serviceAttacks {
			t.Run(a.name, func(t *testing.T) { s.attack(t, a, serving) })
		}
	})
	t.Run("client", func(t *testing.T) {
		for _, a := range clientAttacks {
			t.Run(a.name, func(t *testing.T) { s.attack(t, a, calling) })
		}
	})
	t.Run("bell", func(t *testing.T) {
		for _, b := range brokenBells {
			t.Run(b.name, func(t *testing.T) { s.breakBell(t, b) })
		}
	})
}
