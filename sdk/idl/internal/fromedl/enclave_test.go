package fromedl

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/enclave"
	"github.com/secgear/secgear/sdk/enclavetest"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/idl"
	"github.com/secgear/secgear/sdk/idl/internal/fromedl/calls"
	"github.com/secgear/secgear/sdk/idl/internal/fromedl/served"
)

// TestCurrent: the contract is what is made of the EDL today.
func TestCurrent(t *testing.T) {
	if _, err := (idl.EDL{Path: "calls.edl", C: "c"}).Check(); err != nil {
		t.Errorf("%v\nrun go generate here and commit what it writes", err)
	}
}

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
		calls.RegisterTrusted(e, served.Trusted{Host: calls.NewUntrustedClient(e)})
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
