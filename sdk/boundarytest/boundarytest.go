// Package boundarytest plays a hostile peer to a contract's generated code. The
// tests that "secgear generate" writes beside the stubs consist of calls of
// [Run] and [Fuzz].
package boundarytest

import (
	"context"
	"testing"

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

// Run tests that malformed, replayed and misdirected messages end in errors,
// on either side, and leave the lane usable.
func Run(t *testing.T, c Contract) { t.Skip("boundarytest.Run is not written yet") }

// Fuzz fuzzes the messages that the contract's dispatcher and client decode.
func Fuzz(f *testing.F, c Contract) { f.Skip("boundarytest.Fuzz is not written yet") }
