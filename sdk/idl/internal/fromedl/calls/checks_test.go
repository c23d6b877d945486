package calls

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
)

// peer is one end of a lane: it calls the other and serves what is registered.
type peer struct {
	call.Mux
	lane *shm.Lane
}

// Lane implements [call.Caller].
func (p *peer) Lane(context.Context, *call.Contract) (*shm.Lane, error) { return p.lane, nil }

// connect returns the two ends of a lane in this process.
func connect(t testing.TB) (host, enclave *peer) {
	t.Helper()
	a, b := shm.Pipe(4 << 20)
	host, enclave = &peer{}, &peer{}
	host.open(t, a, shm.Host)
	enclave.open(t, b, shm.Enclave)
	t.Cleanup(func() {
		host.lane.Close()
		enclave.lane.Close()
		host.lane.Join()
		enclave.lane.Join()
	})
	return host, enclave
}

func (p *peer) open(t testing.TB, end *tee.Lane, side shm.Role) {
	t.Helper()
	lane, err := shm.Open(end, side, p, shm.Config{Cooperative: true})
	if err != nil {
		t.Fatal(err)
	}
	p.lane = lane
}

// strict fails the test when a call gets through to it.
type strict struct {
	Trusted
	t *testing.T
}

func (s strict) Sum(context.Context, []int32, int32) (int32, int64, error) {
	s.t.Error("Sum was called")
	return 0, 0, nil
}

func (s strict) Invert(context.Context, []byte, uint32, Mode) (int32, []byte, error) {
	s.t.Error("Invert was called")
	return 0, nil, nil
}

func (s strict) Blocks(context.Context, []uint16, uint64, uint64) (int32, error) {
	s.t.Error("Blocks was called")
	return 0, nil
}

func (s strict) Upper(context.Context, string, Mode) (int32, string, error) {
	s.t.Error("Upper was called")
	return 0, "", nil
}

func (s strict) Wide(context.Context, []rune) (uint64, error) {
	s.t.Error("Wide was called")
	return 0, nil
}

func (s strict) Hash(context.Context, [32]byte, []byte, uint64) (int32, [32]byte, error) {
	s.t.Error("Hash was called")
	return 0, [32]byte{}, nil
}

func (s strict) Relay(context.Context, Message, Mode) (int32, Message, error) {
	s.t.Error("Relay was called")
	return 0, Message{}, nil
}

// refused expects that a check failed, in these words.
func refused(t *testing.T, err error, text string) {
	t.Helper()
	if !errors.Is(err, call.ErrCheck) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %s", err, text)
	}
}

// wrongArguments are calls that break a check on an argument: as a client makes
// them, and as a hostile one does who encodes by hand.
var wrongArguments = []struct {
	name, want string
	call       func(context.Context, TrustedClient) error
	method     uint16
	size       int
	encode     func(*call.Encoder)
}{
	{"count too large", "len(numbers) is 2 and must be 3", func(ctx context.Context, c TrustedClient) error {
		_, _, err := c.Sum(ctx, []int32{1, 2}, 3)
		return err
	}, 0, 4 + 8 + 4, func(e *call.Encoder) { e.Count(2); e.Int32(1); e.Int32(2); e.Int32(3) }},
	{"count too small", "len(numbers) is 2 and must be 1", func(ctx context.Context, c TrustedClient) error {
		_, _, err := c.Sum(ctx, []int32{1, 2}, 1)
		return err
	}, 0, 4 + 8 + 4, func(e *call.Encoder) { e.Count(2); e.Int32(1); e.Int32(2); e.Int32(1) }},
	{"no elements", "len(numbers) is 0 and must be 1", func(ctx context.Context, c TrustedClient) error {
		_, _, err := c.Sum(ctx, nil, 1)
		return err
	}, 0, 4 + 4, func(e *call.Encoder) { e.Count(0); e.Int32(1) }},
	{"negative count", "the length of len(numbers) is negative or too large", func(ctx context.Context, c TrustedClient) error {
		_, _, err := c.Sum(ctx, nil, -1)
		return err
	}, 0, 4 + 4, func(e *call.Encoder) { e.Count(0); e.Int32(-1) }},
	{"size of a buffer that goes both ways", "len(buf) is 1 and must be 4294967295", func(ctx context.Context, c TrustedClient) error {
		_, _, err := c.Invert(ctx, []byte{1}, math.MaxUint32, KEEP)
		return err
	}, 2, 5 + 4 + 4, func(e *call.Encoder) { e.Bytes([]byte{1}); e.Uint32(math.MaxUint32); e.Int32(0) }},
	{"product", "len(data)*2 is 4 and must be 6", func(ctx context.Context, c TrustedClient) error {
		_, err := c.Blocks(ctx, []uint16{1, 2}, 2, 3)
		return err
	}, 3, 4 + 4 + 16, func(e *call.Encoder) { e.Count(2); e.Uint16(1); e.Uint16(2); e.Uint64(2); e.Uint64(3) }},
	{"part of an element", "len(data)*2 is 2 and must be 3", func(ctx context.Context, c TrustedClient) error {
		_, err := c.Blocks(ctx, []uint16{1}, 3, 1)
		return err
	}, 3, 4 + 2 + 16, func(e *call.Encoder) { e.Count(1); e.Uint16(1); e.Uint64(3); e.Uint64(1) }},
	{"product that overflows to what is there", "negative or too large", func(ctx context.Context, c TrustedClient) error {
		_, err := c.Blocks(ctx, nil, 1<<63, 2)
		return err
	}, 3, 4 + 16, func(e *call.Encoder) { e.Count(0); e.Uint64(1 << 63); e.Uint64(2) }},
	{"product of the largest", "negative or too large", func(ctx context.Context, c TrustedClient) error {
		_, err := c.Blocks(ctx, nil, math.MaxUint64, math.MaxUint64)
		return err
	}, 3, 4 + 16, func(e *call.Encoder) { e.Count(0); e.Uint64(math.MaxUint64); e.Uint64(math.MaxUint64) }},
	{"NUL in a string", "text has a NUL inside", func(ctx context.Context, c TrustedClient) error {
		_, _, err := c.Upper(ctx, "a\x00b", KEEP)
		return err
	}, 4, 4 + 3 + 4, func(e *call.Encoder) { e.String("a\x00b"); e.Int32(0) }},
	{"NUL at the end of a string", "text has a NUL inside", func(ctx context.Context, c TrustedClient) error {
		_, _, err := c.Upper(ctx, "a\x00", KEEP)
		return err
	}, 4, 4 + 2 + 4, func(e *call.Encoder) { e.String("a\x00"); e.Int32(0) }},
	{"0 in wide characters", "text has a NUL inside", func(ctx context.Context, c TrustedClient) error {
		_, err := c.Wide(ctx, []rune{'a', 0})
		return err
	}, 5, 4 + 8, func(e *call.Encoder) { e.Count(2); e.Int32('a'); e.Int32(0) }},
	{"size of anything", "len(data) is 0 and must be 18446744073709551614", func(ctx context.Context, c TrustedClient) error {
		_, _, err := c.Hash(ctx, [32]byte{}, nil, math.MaxUint64-1)
		return err
	}, 6, 32 + 4 + 8, func(e *call.Encoder) { e.Raw(make([]byte, 32)); e.Count(0); e.Uint64(math.MaxUint64 - 1) }},
	{"count of a struct", "len(Message.Parts) is 0 and must be 1", func(ctx context.Context, c TrustedClient) error {
		_, _, err := c.Relay(ctx, Message{Count: 1}, KEEP)
		return err
	}, 7, 4 + 4 + 8 + 4 + 8 + 4, func(e *call.Encoder) {
		e.Uint32(0)
		e.Raw(make([]byte, 4))
		e.Uint64(1)
		e.Count(0)
		e.Uint64(0)
		e.Int32(0)
	}},
	{"size within a struct", "len(Part.Data) is 1 and must be 2", func(ctx context.Context, c TrustedClient) error {
		_, _, err := c.Relay(ctx, Message{Count: 1, Parts: []Part{{Size: 2, Data: []byte{1}}}}, KEEP)
		return err
	}, 7, 4 + 4 + 8 + 4 + 8 + 5 + 8 + 4, func(e *call.Encoder) {
		e.Uint32(0)
		e.Raw(make([]byte, 4))
		e.Uint64(1)
		e.Count(1)
		e.Uint64(2)
		e.Bytes([]byte{1})
		e.Uint64(0)
		e.Int32(0)
	}},
}

// TestArguments: a wrong argument is refused before it is sent and, when it is
// sent all the same, before it gets to the function.
func TestArguments(t *testing.T) {
	host, enclave := connect(t)
	RegisterTrusted(enclave, strict{t: t})
	for _, tt := range wrongArguments {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.call(t.Context(), NewTrustedClient(host))
			refused(t, err, tt.want)
			var remote *call.Error
			if errors.As(err, &remote) {
				t.Errorf("it was sent: %v", err)
			}
			err = raw(t.Context(), host, trustedContract, tt.method, tt.size, tt.encode)
			refused(t, err, tt.want)
			if !errors.As(err, &remote) {
				t.Errorf("it was not sent: %v", err)
			}
		})
	}
}

// raw makes a call whose arguments are encoded by hand, and drops its results.
func raw(ctx context.Context, to call.Caller, c *call.Contract, method uint16, size int, encode func(*call.Encoder)) error {
	var p call.Pending
	var e call.Encoder
	p.Begin(ctx, to, c, method, size, &e)
	encode(&e)
	p.Start(&e)
	var d call.Decoder
	return p.Wait(&d)
}

// wrongResults are answers that break a check, as the function returns them and
// as a hostile peer encodes them by hand.
var wrongResults = []struct {
	name, want string
	call       func(context.Context, TrustedClient) error
	size       int
	encode     func(*call.Encoder)
}{
	{"out longer than asked for", "len(buf) is 5 and must be at most 4", callFill, 4 + 9, func(e *call.Encoder) { e.Int32(0); e.Bytes(make([]byte, 5)) }},
	{"in and out longer than sent", "len(bufOut) is 5 and must be at most 4", func(ctx context.Context, c TrustedClient) error {
		_, _, err := c.Invert(ctx, make([]byte, 4), 4, GROW)
		return err
	}, 4 + 9, func(e *call.Encoder) { e.Int32(0); e.Bytes(make([]byte, 5)) }},
	{"string longer than sent", "len(textOut) is 3 and must be at most 2", func(ctx context.Context, c TrustedClient) error {
		_, _, err := c.Upper(ctx, "ab", GROW)
		return err
	}, 4 + 7, func(e *call.Encoder) { e.Int32(0); e.String("abc") }},
	{"string with a NUL", "textOut has a NUL inside", func(ctx context.Context, c TrustedClient) error {
		_, _, err := c.Upper(ctx, "ab", SHRINK)
		return err
	}, 4 + 5, func(e *call.Encoder) { e.Int32(0); e.String("\x00") }},
	{"count and data that disagree", "len(Message.Parts) is 0 and must be 1", func(ctx context.Context, c TrustedClient) error {
		_, _, err := c.Relay(ctx, Message{}, SHRINK)
		return err
	}, 4 + 4 + 4 + 8 + 4 + 8, func(e *call.Encoder) {
		e.Int32(0)
		e.Uint32(0)
		e.Raw(make([]byte, 4))
		e.Uint64(1)
		e.Count(0)
		e.Uint64(0)
	}},
	{"more parts than sent", "a length in mOut is greater than it was in the argument", func(ctx context.Context, c TrustedClient) error {
		_, _, err := c.Relay(ctx, Message{}, GROW)
		return err
	}, 4 + 4 + 4 + 8 + 4 + 8 + 4 + 8, func(e *call.Encoder) {
		e.Int32(0)
		e.Uint32(0)
		e.Raw(make([]byte, 4))
		e.Uint64(1)
		e.Count(1)
		e.Uint64(0)
		e.Count(0)
		e.Uint64(0)
	}},
	{"a longer part than sent", "a length in mOut is greater than it was in the argument", func(ctx context.Context, c TrustedClient) error {
		_, _, err := c.Relay(ctx, Message{Count: 1, Parts: []Part{{}}}, GROW)
		return err
	}, 4 + 4 + 4 + 8 + 4 + 8 + 5 + 8, func(e *call.Encoder) {
		e.Int32(0)
		e.Uint32(0)
		e.Raw(make([]byte, 4))
		e.Uint64(1)
		e.Count(1)
		e.Uint64(1)
		e.Bytes([]byte{1})
		e.Uint64(0)
	}},
}

func callFill(ctx context.Context, c TrustedClient) error {
	_, _, err := c.Fill(ctx, 4, 1, GROW)
	return err
}

// TestAnswers: an answer that breaks a check is refused by the one who gets it.
func TestAnswers(t *testing.T) {
	for _, tt := range wrongResults {
		t.Run(tt.name, func(t *testing.T) {
			host, enclave := connect(t)
			enclave.Register(call.Service{Contract: trustedContract, Dispatch: func(_ context.Context, _ uint16, q call.Request) error {
				var e call.Encoder
				q.Results(tt.size, &e)
				tt.encode(&e)
				return q.Send(&e)
			}})
			err := tt.call(t.Context(), NewTrustedClient(host))
			refused(t, err, tt.want)
			var remote *call.Error
			if errors.As(err, &remote) {
				t.Errorf("the sender refused it: %v", err)
			}
		})
	}
}

// careless returns more than it may.
type careless struct{ Trusted }

func (careless) Fill(context.Context, uint64, byte, Mode) (int32, []byte, error) {
	return 0, make([]byte, 5), nil
}

func (careless) Invert(context.Context, []byte, uint32, Mode) (int32, []byte, error) {
	return 0, make([]byte, 5), nil
}

func (careless) Upper(_ context.Context, _ string, m Mode) (int32, string, error) {
	if m == SHRINK {
		return 0, "\x00", nil
	}
	return 0, "abc", nil
}

func (careless) Relay(_ context.Context, m Message, mode Mode) (int32, Message, error) {
	if mode == SHRINK {
		return 0, Message{Count: 1}, nil
	}
	if m.Count == 0 {
		return 0, Message{Count: 1, Parts: []Part{{}}}, nil
	}
	return 0, Message{Count: 1, Parts: []Part{{Size: 1, Data: []byte{1}}}}, nil
}

// TestResults: what a function returns beyond what it may is not sent.
func TestResults(t *testing.T) {
	host, enclave := connect(t)
	RegisterTrusted(enclave, careless{})
	for _, tt := range wrongResults {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.call(t.Context(), NewTrustedClient(host))
			refused(t, err, tt.want)
			var remote *call.Error
			if !errors.As(err, &remote) {
				t.Errorf("it was sent: %v", err)
			}
		})
	}
}

// TestGate: a private function is served only while a call that allows it is in
// flight, however the call ends.
func TestGate(t *testing.T) {
	host, enclave := connect(t)
	RegisterTrusted(enclave, confirms{})
	client := NewTrustedClient(host)
	closed := func(when string) {
		t.Helper()
		if _, err := client.Confirm(t.Context(), 1); !errors.Is(err, call.ErrPrivate) {
			t.Errorf("%s: %v", when, err)
		}
	}
	closed("before any call")
	RegisterUntrusted(host, answers{func(ctx context.Context) error {
		n, err := client.Confirm(ctx, 41)
		if n != 42 {
			return fmt.Errorf("confirmed %d: %w", n, err)
		}
		return err
	}})
	if _, _, _, err := NewUntrustedClient(enclave).Answer(t.Context(), "", 0, KEEP); err != nil {
		t.Errorf("within a call that allows it: %v", err)
	}
	closed("after the call")
	if _, _, _, err := NewUntrustedClient(enclave).Answer(t.Context(), "\x00", 0, KEEP); !errors.Is(err, call.ErrCheck) {
		t.Errorf("a call that is not sent: %v", err)
	}
	closed("after a call that was not sent")
}

type confirms struct{ Trusted }

func (confirms) Confirm(_ context.Context, n int32) (int32, error) { return n + 1, nil }

type answers struct{ during func(context.Context) error }

func (a answers) Answer(ctx context.Context, _ string, _ uint64, _ Mode) (int32, []byte, int32, error) {
	return 0, nil, 0, a.during(ctx)
}

func (answers) Log(context.Context, string) error { return nil }
