// Package echo is the contract that the benchmark of calls measures.
package echo

import (
	"context"
	"time"

	"github.com/secgear/secgear/sdk/shm"
)

//go:generate secgear generate

// Piece is the size of the pieces in which large data is worked on: both sides'
// caches hold several.
const Piece = 64 << 10

// Echoer is served by the enclave.
//
//secgear:ecall
type Echoer interface {
	// Echo64 returns data: a call whose arguments and results are of fixed size.
	Echo64(ctx context.Context, data [64]byte) ([64]byte, error)

	// Echo returns data, which crosses as a copy.
	Echo(ctx context.Context, data []byte) ([]byte, error)

	// Invert flips every bit of data, which stays where it is.
	Invert(ctx context.Context, data shm.Buffer) error

	// EchoShared copies data, at most [Piece] bytes, to memory of its own and
	// writes it back from there.
	EchoShared(ctx context.Context, data shm.Buffer) error

	// Mallocs returns how many objects the enclave has allocated since it
	// started.
	Mallocs(ctx context.Context) (uint64, error)

	// Pauses stops all goroutines of the enclave n times, resting in between,
	// and returns how long each took.
	Pauses(ctx context.Context, n int, rest time.Duration) ([]time.Duration, error)
}

// ContractID is the contract's fingerprint, for callers without stubs.
func ContractID() uint32 { return echoerContract.ID }
