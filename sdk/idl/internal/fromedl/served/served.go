// Package served is the enclave's side of calls.edl, for tests.
package served

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"strings"

	"github.com/secgear/secgear/sdk/idl/internal/fromedl/calls"
)

// Trusted implements the contract.
type Trusted struct{ Host calls.UntrustedClient }

// Sum implements [calls.Trusted].
func (Trusted) Sum(_ context.Context, numbers []int32, n int32) (result int32, total int64, err error) {
	for _, x := range numbers {
		total += int64(x)
	}
	return n, total, nil
}

// Fill implements [calls.Trusted].
func (Trusted) Fill(_ context.Context, length uint64, with byte, mode calls.Mode) (int32, []byte, error) {
	if mode == calls.SHRINK {
		length /= 2
	}
	return 0, bytes.Repeat([]byte{with}, int(min(length, 1<<20))), nil
}

// Invert implements [calls.Trusted].
func (Trusted) Invert(_ context.Context, buf []byte, _ uint32, _ calls.Mode) (int32, []byte, error) {
	for i := range buf {
		buf[i] = ^buf[i]
	}
	return 0, buf, nil
}

// Blocks implements [calls.Trusted].
func (Trusted) Blocks(_ context.Context, data []uint16, _, count uint64) (int32, error) {
	return int32(len(data)) / int32(count), nil
}

// Upper implements [calls.Trusted].
func (Trusted) Upper(_ context.Context, text string, _ calls.Mode) (int32, string, error) {
	return 0, strings.ToUpper(text), nil
}

// Wide implements [calls.Trusted].
func (Trusted) Wide(_ context.Context, text []rune) (uint64, error) {
	return uint64(len(string(text))), nil
}

// Hash implements [calls.Trusted].
func (Trusted) Hash(_ context.Context, key [32]byte, data []byte, _ uint64) (int32, [32]byte, error) {
	return 0, sha256.Sum256(append(key[:], data...)), nil
}

// Relay implements [calls.Trusted].
func (Trusted) Relay(_ context.Context, m calls.Message, _ calls.Mode) (int32, calls.Message, error) {
	slices.Reverse(m.Parts)
	m.Number++
	return 0, m, nil
}

// Transpose implements [calls.Trusted].
func (Trusted) Transpose(_ context.Context, m [2][2]int32, w calls.Word) (int32, [2][2]int32, error) {
	return int32(w[0]), [2][2]int32{{m[0][0], m[1][0]}, {m[0][1], m[1][1]}}, nil
}

// Handle implements [calls.Trusted].
func (Trusted) Handle(_ context.Context, object uint64) (uint64, error) { return object, nil }

// Ask implements [calls.Trusted].
func (s Trusted) Ask(ctx context.Context, question string) (int32, error) {
	if err := s.Host.Log(ctx, question); err != nil {
		return 0, err
	}
	result, answer, errno, err := s.Host.Answer(ctx, question, 8, calls.KEEP)
	return result + errno + int32(len(answer)), err
}

// Large implements [calls.Trusted].
func (Trusted) Large(_ context.Context, block []byte) (int32, []byte, error) {
	return 0, block[:len(block)-1], nil
}

// Confirm implements [calls.Trusted].
func (Trusted) Confirm(_ context.Context, answer int32) (int32, error) { return answer + 1, nil }
