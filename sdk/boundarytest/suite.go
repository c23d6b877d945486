package boundarytest

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/secgear/secgear/sdk/boundarytest/hostile"
	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/internal/ring"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
)

// suite is one run of all attacks on a contract.
type suite struct {
	Contract
	mux      *call.Mux // serves the contract on every lane
	honest   *honest
	messages []message // a valid one for each method
	numbers  []uint64
	seed     uint64
}

// message is the encoded arguments of a call of a method, and the results that
// the service answered with.
type message struct {
	method        uint16
	switched      bool
	args, results []byte
}

const (
	// arenaSize is the size of each of the attacked lane's arenas.
	arenaSize = 512 << 10
	// regionSize is the size of the attacked lane's memory.
	regionSize = ring.HeaderSize + 2*arenaSize
	// room is how much of the arena each slot has for its arguments.
	room = arenaSize / shm.Slots
)

func newSuite(t *testing.T, c Contract) *suite {
	t.Helper()
	s := &suite{Contract: c, mux: new(call.Mux), numbers: hostile.Numbers(arenaSize, regionSize, ring.InlineArgs, ring.InlineResults)}
	c.Register(s.mux)
	s.seed = seed(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to repeat it, set SECGEAR_SEED=%d", s.seed)
		}
	})
	s.honest = newHonest(t, s)
	s.messages = s.record(t)
	return s
}

var runs atomic.Uint64

// seed is that of the environment, or one that differs between tests and, under
// -count, between their runs.
func seed(t *testing.T) uint64 {
	if text := os.Getenv("SECGEAR_SEED"); text != "" {
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("SECGEAR_SEED: %v", err)
		}
		return v
	}
	return hash(t.Name()) + runs.Add(1)
}

func hash(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	return h.Sum64()
}

// random returns the source of randomness of the part named name.
func (s *suite) random(name string) *rand.Rand { return rand.New(rand.NewPCG(s.seed, hash(name))) }

// over is a lane to call over.
type over struct{ lane *shm.Lane }

// Lane implements [call.Caller].
func (o over) Lane(context.Context, *call.Contract) (*shm.Lane, error) { return o.lane, nil }

// handlerFunc adapts a function to [shm.Handler].
type handlerFunc func(context.Context, *shm.Request)

// ServeCall implements [shm.Handler].
func (f handlerFunc) ServeCall(ctx context.Context, q *shm.Request) { f(ctx, q) }

// open makes an end of a lane usable until the test is over.
func open(t testing.TB, l *tee.Lane, side shm.Role, h shm.Handler) *shm.Lane {
	t.Helper()
	lane, err := shm.Open(l, side, h, shm.Config{Cooperative: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		lane.Close()
		lane.Join()
	})
	return lane
}

// pair returns the host's end of a lane whose enclave's end h serves.
func pair(t testing.TB, h shm.Handler) *shm.Lane {
	t.Helper()
	a, b := shm.Pipe(regionSize)
	open(t, b, shm.Enclave, h)
	return open(t, a, shm.Host, h)
}

// record makes each call of the contract once, to learn its messages.
func (s *suite) record(t testing.TB) []message {
	t.Helper()
	messages := make([]message, len(s.Calls))
	for i, results := range s.exchange(t) {
		m := &messages[i]
		*m = results
		answer, err := raw(t.Context(), s.honest.lane, s.Contract.Contract.ID, m.method, m.switched, m.args)
		if err != nil {
			t.Fatalf("method %d with zero arguments: %v", i, err)
		}
		if answer.status != 0 {
			t.Fatalf("method %d with zero arguments: status %#x, %q", i, answer.status, answer.payload)
		}
		m.results = answer.payload
	}
	return messages
}

// exchange records what each method's client sends.
func (s *suite) exchange(t testing.TB) []message {
	t.Helper()
	var sent message
	lane := pair(t, handlerFunc(func(_ context.Context, q *shm.Request) {
		sent = message{method: q.Method(), args: append([]byte(nil), q.Args()...)}
		q.Fail(0xffff, "recorded")
	}))
	messages := make([]message, len(s.Calls))
	for i, do := range s.Calls {
		if err := do(t.Context(), over{lane}); err == nil {
			t.Fatalf("method %d: a refused call has no error", i)
		}
		sent.switched = s.Contract.Contract.Methods[i].Switched
		messages[i] = sent
	}
	return messages
}

// answer is what came back from a call.
type answer struct {
	status  uint32
	payload []byte
}

// raw makes a call with arguments that may be no encoding at all.
func raw(ctx context.Context, l *shm.Lane, contract uint32, method uint16, switched bool, args []byte) (answer, error) {
	c, err := l.Begin(ctx, contract, method, switched, len(args))
	if err != nil {
		return answer{}, fmt.Errorf("beginning a call: %w", err)
	}
	ticket := c.Ticket()
	copy(c.Args(), args)
	if err := c.Start(); err != nil {
		return answer{}, fmt.Errorf("starting a call: %w", err)
	}
	a, err := c.Wait(ticket)
	if err != nil {
		return answer{}, fmt.Errorf("waiting for a call: %w", err)
	}
	defer c.End()
	return answer{a.Status, append([]byte(nil), a.Payload...)}, nil
}
