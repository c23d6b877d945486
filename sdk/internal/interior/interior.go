// Package interior is what an enclave's runtime tells the process that loaded it:
// numbers and, from debug images that ask for it, profiles. It is an ordinary
// contract, served beside those of the program, over the owner's lane only.
//
// Of the numbers, all are counts and times of what crosses the boundary, and the
// size of the heap: the host can see or measure about as much from outside. To
// the host they are hints: an enclave that was taken over says what it likes.
package interior

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/secgear/secgear/sdk/shm"
)

//go:generate go run github.com/secgear/secgear/cmd/secgear generate

// ErrNotDebug: the image is none for debugging.
//
//secgear:error
var ErrNotDebug = errors.New("profiles are for images with \"debug\" set in their manifest")

// ErrNoProfiler: the enclave's program lacks what makes profiles.
//
//secgear:error
var ErrNoProfiler = errors.New("the enclave does not import sdk/enclave/pprof")

// Inside is what the runtime serves.
//
//secgear:ecall
type Inside interface {
	// Numbers returns a [Numbers] as JSON.
	Numbers(ctx context.Context) ([]byte, error)
	// Profile returns a profile of a kind, over a time in seconds where that is
	// asked of it. It fails with ErrNotDebug or ErrNoProfiler.
	Profile(ctx context.Context, kind string, seconds uint32) ([]byte, error)
}

// Numbers are what an enclave says of itself. The names of fields in JSON are
// stable; units are in them.
type Numbers struct {
	Goroutines  int    `json:"goroutines"`
	HeapBytes   uint64 `json:"heap_bytes"`   // live, and garbage not yet collected
	MemoryBytes uint64 `json:"memory_bytes"` // that Go's runtime has mapped and not given back
	Lanes       int    `json:"lanes"`        // open

	// Stats are those of all open lanes together, as the enclave sees them: Served
	// are the calls to it, with the time that their handlers took.
	shm.Stats
}

// MaxNumbers is the size of the JSON form at most, in bytes.
const MaxNumbers = 512 << 10

// Encode returns n's JSON form. If there is too much of it, methods are left out.
func (n Numbers) Encode() ([]byte, error) {
	b, err := json.Marshal(n)
	if err == nil && len(b) > MaxNumbers {
		n.Made, n.Served = []shm.MethodStats{}, []shm.MethodStats{}
		b, err = json.Marshal(n)
	}
	return b, err
}

// Parse reads what Encode wrote. The other side may have chosen it.
func Parse(b []byte) (n Numbers, err error) {
	if len(b) > MaxNumbers {
		return n, fmt.Errorf("the enclave's numbers are %d bytes long", len(b))
	}
	if err := json.Unmarshal(b, &n); err != nil {
		return Numbers{}, fmt.Errorf("reading the enclave's numbers: %w", err)
	}
	return n, nil
}

// MaxProfile is how long a profile may take.
const MaxProfile = 5 * time.Minute

// Profiler makes profiles; nil unless the program imports sdk/enclave/pprof,
// whose init sets it.
var Profiler func(ctx context.Context, kind string, over time.Duration) ([]byte, error)

// ID is the contract's fingerprint.
var ID = insideContract.ID
