package fromedl

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/enclave"
	"github.com/secgear/secgear/sdk/enclavetest"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/idl"
	"github.com/secgear/secgear/sdk/idl/internal/fromedl/calls"
)

// TestCurrent: the contract is what is made of the EDL today.
func TestCurrent(t *testing.T) {
	if _, err := (idl.EDL{Path: "calls.edl", C: "c"}).Check(); err != nil {
		t.Errorf("%v\nrun go generate here and commit what it writes", err)
	}
}

// trusted is the enclave's side.
type trusted struct{ host calls.UntrustedClient }

func (trusted) Sum(_ context.Context, numbers []int32, n int32) (result int32, total int64, err error) {
	for _, x := range numbers {
		total += int64(x)
	}
	return n, total, nil
}

func (trusted) Fill(_ context.Context, length uint64, with byte, mode calls.Mode) (int32, []byte, error) {
	if mode == calls.SHRINK {
		length /= 2
	}
	return 0, bytes.Repeat([]byte{with}, int(min(length, 1<<20))), nil
}

func (trusted) Invert(_ context.Context, buf []byte, _ uint32, _ calls.Mode) (int32, []byte, error) {
	for i := range buf {
		buf[i] = ^buf[i]
	}
	return 0, buf, nil
}

func (trusted) Blocks(_ context.Context, data []uint16, _, count uint64) (int32, error) {
	return int32(len(data)) / int32(count), nil
}

func (trusted) Upper(_ context.Context, text string, _ calls.Mode) (int32, string, error) {
	return 0, strings.ToUpper(text), nil
}

func (trusted) Wide(_ context.Context, text []rune) (uint64, error) {
	return uint64(len(string(text))), nil
}

func (trusted) Hash(_ context.Context, key [32]byte, data []byte, _ uint64) (int32, [32]byte, error) {
	return 0, sha256.Sum256(append(key[:], data...)), nil
}

func (trusted) Relay(_ context.Context, m calls.Message, _ calls.Mode) (int32, calls.Message, error) {
	slices.Reverse(m.Parts)
	m.Number++
	return 0, m, nil
}

func (trusted) Transpose(_ context.Context, m [2][2]int32, w calls.Word) (int32, [2][2]int32, error) {
	return int32(w[0]), [2][2]int32{{m[0][0], m[1][0]}, {m[0][1], m[1][1]}}, nil
}

func (trusted) Handle(_ context.Context, object uint64) (uint64, error) { return object, nil }

func (s trusted) Ask(ctx context.Context, question string) (int32, error) {
	if err := s.host.Log(ctx, question); err != nil {
		return 0, err
	}
	result, answer, errno, err := s.host.Answer(ctx, question, 8, calls.KEEP)
	return result + errno + int32(len(answer)), err
}

func (trusted) Large(_ context.Context, block []byte) (int32, []byte, error) {
	return 0, block[:len(block)-1], nil
}

func (trusted) Confirm(_ context.Context, answer int32) (int32, error) { return answer + 1, nil }

// untrusted is the host's side. It confirms what it answers.
type untrusted struct {
	mu      sync.Mutex
	enclave calls.TrustedClient
	logged  []string
}

func (u *untrusted) Answer(ctx context.Context, question string, most uint64, _ calls.Mode) (int32, []byte, int32, error) {
	n, err := u.enclave.Confirm(ctx, 41)
	return n, []byte(question[:min(len(question), int(most))]), 100, err
}

func (u *untrusted) Log(_ context.Context, text string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.logged = append(u.logged, text)
	return nil
}

// TestCalls calls each function of the EDL in an enclave.
func TestCalls(t *testing.T) {
	u := &untrusted{}
	e := enclavetest.Start(t, func(e *enclave.Enclave) error {
		calls.RegisterTrusted(e, trusted{calls.NewUntrustedClient(e)})
		return nil
	}, enclavetest.WithServices(func(r *host.Enclave) { calls.RegisterUntrusted(r, u) }))
	c := calls.NewTrustedClient(e)
	u.enclave = c
	ctx := t.Context()

	tests := []struct {
		name string
		call func() (ok bool, err error)
	}{
		{"count and out", func() (bool, error) {
			n, total, err := c.Sum(ctx, []int32{1, 2, 1 << 30, 1 << 30, 1 << 30}, 5)
			return n == 5 && total == 3<<30+3, err
		}},
		{"no elements", func() (bool, error) {
			n, total, err := c.Sum(ctx, nil, 0)
			return n == 0 && total == 0, err
		}},
		{"out buffer", func() (bool, error) {
			_, buf, err := c.Fill(ctx, 3, 7, calls.KEEP)
			return bytes.Equal(buf, []byte{7, 7, 7}), err
		}},
		{"out buffer that is not filled", func() (bool, error) {
			_, buf, err := c.Fill(ctx, 4, 7, calls.SHRINK)
			return bytes.Equal(buf, []byte{7, 7}), err
		}},
		{"in and out buffer", func() (bool, error) {
			_, buf, err := c.Invert(ctx, []byte{0xf0, 1}, 2, calls.KEEP)
			return bytes.Equal(buf, []byte{0x0f, 0xfe}), err
		}},
		{"size and count", func() (bool, error) {
			n, err := c.Blocks(ctx, make([]uint16, 12), 8, 3)
			return n == 4, err
		}},
		{"string both ways", func() (bool, error) {
			_, s, err := c.Upper(ctx, "grüße", calls.KEEP)
			return s == "GRÜßE", err
		}},
		{"wide string", func() (bool, error) {
			n, err := c.Wide(ctx, []rune("Grüße"))
			return n == 7, err
		}},
		{"fixed sizes", func() (bool, error) {
			_, sum, err := c.Hash(ctx, [32]byte{1}, []byte("x"), 1)
			return sum == sha256.Sum256(append((&[32]byte{1})[:], 'x')), err
		}},
		{"deep copy", func() (bool, error) {
			_, m, err := c.Relay(ctx, calls.Message{Number: 1, Count: 2, Parts: []calls.Part{{Size: 2, Data: []byte("ab")}, {Size: 2, Data: []byte("cd")}}, Cookie: 9}, calls.KEEP)
			return m.Number == 2 && m.Cookie == 9 && len(m.Parts) == 2 && string(m.Parts[0].Data) == "cd", err
		}},
		{"arrays and a union", func() (bool, error) {
			n, m, err := c.Transpose(ctx, [2][2]int32{{1, 2}, {3, 4}}, calls.Word{5})
			return n == 5 && m == [2][2]int32{{1, 3}, {2, 4}}, err
		}},
		{"user_check", func() (bool, error) {
			h, err := c.Handle(ctx, 1<<63)
			return h == 1<<63, err
		}},
		{"OCALL, private ECALL and errno", func() (bool, error) {
			n, err := c.Ask(ctx, "why so long?")
			return n == 42+100+8 && slices.Equal(u.logged, []string{"why so long?"}), err
		}},
		{"large block of fixed size", func() (bool, error) {
			_, block, err := c.Large(ctx, make([]byte, 20000))
			return len(block) == 19999, err
		}},
		{"block that is too small", func() (bool, error) {
			_, _, err := c.Large(ctx, make([]byte, 19999))
			return errors.Is(err, call.ErrCheck), nil
		}},
		{"private ECALL from outside", func() (bool, error) {
			_, err := c.Confirm(ctx, 1)
			return errors.Is(err, call.ErrPrivate), nil
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if ok, err := tt.call(); !ok || err != nil {
				t.Errorf("%v, %v", ok, err)
			}
		})
	}
}
