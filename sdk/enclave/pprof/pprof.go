// Package pprof lets the process that loaded an enclave take profiles of it, if
// the image is one for debugging ("debug" in its manifest):
//
//	import _ "github.com/secgear/secgear/sdk/enclave/pprof"
//
// Images without "debug" refuse, whether or not they import it: a profile tells
// which code ran and for how long, and so may tell secrets. It is not part of
// every enclave because of what it links, Go's runtime/pprof and the compression
// behind it.
package pprof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/secgear/secgear/sdk/internal/interior"
)

func init() { interior.Profiler = profile }

// kinds are the profiles that are taken at once.
var kinds = []string{"allocs", "goroutine", "heap", "threadcreate"}

// defaultCPU is how long a CPU profile takes unless told.
const defaultCPU = 10 * time.Second

// profile takes a profile in pprof's format.
func profile(ctx context.Context, kind string, over time.Duration) ([]byte, error) {
	var out bytes.Buffer
	switch {
	case kind == "cpu":
		if over == 0 {
			over = defaultCPU
		}
		if err := pprof.StartCPUProfile(&out); err != nil {
			return nil, errors.New("another CPU profile is being taken")
		}
		wait(ctx, over)
		pprof.StopCPUProfile()
		return out.Bytes(), ctx.Err()
	case slices.Contains(kinds, kind):
		err := pprof.Lookup(kind).WriteTo(&out, 0)
		return out.Bytes(), err
	}
	return nil, fmt.Errorf("there is no profile %.40q, but cpu and %q", kind, kinds)
}

// wait returns after d or at the end of ctx.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
