package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/secgear/secgear/bench/echo"
	"github.com/secgear/secgear/bench/internal/pause"
	"github.com/secgear/secgear/sdk/shm"
)

// echoer implements [echo.Echoer].
type echoer struct{}

func (echoer) Echo64(_ context.Context, data [64]byte) ([64]byte, error) { return data, nil }

func (echoer) Echo(_ context.Context, data []byte) ([]byte, error) { return data, nil }

// ones is what a piece of a buffer is inverted with.
var ones = func() (b [16 << 10]byte) {
	for i := range b {
		b[i] = 0xff
	}
	return b
}()

func (echoer) Invert(_ context.Context, data shm.Buffer) error {
	b, err := data.Shared()
	if err != nil {
		return err
	}
	for len(b) > 0 {
		n := subtle.XORBytes(b, b, ones[:])
		b = b[n:]
	}
	return nil
}

// scratch holds private memory for [echo.Piece] bytes.
var scratch = sync.Pool{New: func() any { return new([echo.Piece]byte) }}

func (echoer) EchoShared(_ context.Context, data shm.Buffer) error {
	if data.Len() > echo.Piece {
		return fmt.Errorf("%d bytes are more than a piece", data.Len())
	}
	mem := scratch.Get().(*[echo.Piece]byte)
	defer scratch.Put(mem)
	private := mem[:data.Len()]
	if _, err := data.ReadAt(private, 0); err != nil {
		return err
	}
	_, err := data.WriteAt(private, 0)
	return err
}

func (echoer) Mallocs(context.Context) (uint64, error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs, nil
}

// maxPauses bounds what the host can ask for.
const maxPauses = 10_000

func (echoer) Pauses(ctx context.Context, n int, rest time.Duration) ([]time.Duration, error) {
	if n < 0 || n > maxPauses || rest < 0 || rest > time.Second {
		return nil, errors.New("too many pauses, or too long a rest")
	}
	return pause.Measure(ctx, n, rest)
}
