package boundarytest

import (
	"context"
	"testing"

	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/shm"
)

// Fuzz fuzzes the messages that the contract's dispatcher and client decode:
// the first byte of an input says which method, the rest are its arguments, and
// then its results. Nothing may crash; every call must be answered; and the
// client must understand what the service answers.
func Fuzz(f *testing.F, c Contract) {
	z := newFuzzer(f, c)
	for _, m := range z.suite.exchange(f) {
		f.Add(append([]byte{byte(m.method)}, m.args...))
		got, err := raw(f.Context(), z.service, c.Contract.ID, m.method, false, m.args)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append([]byte{byte(m.method)}, got.payload...))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) == 0 || len(input) > arenaSize/2 {
			return
		}
		z.serve(t, int(input[0])%(len(c.Calls)+1), input[1:])
		z.receive(int(input[0])%len(c.Calls), input[1:])
	})
}

// fuzzer has one lane to the service, and one to what answers whatever it is
// told.
type fuzzer struct {
	suite   *suite
	service *shm.Lane
	canned  *shm.Lane
	results []byte // canned; calls are made one at a time
}

func newFuzzer(f *testing.F, c Contract) *fuzzer {
	mux := new(call.Mux)
	c.Register(mux)
	z := &fuzzer{suite: &suite{Contract: c}, service: pair(f, mux)}
	z.canned = pair(f, handlerFunc(func(_ context.Context, q *shm.Request) {
		out, err := q.Results(len(z.results))
		if err != nil {
			q.Fail(1, err.Error())
			return
		}
		copy(out, z.results)
	}))
	return z
}

// serve sends args to the service, whose answer the client must understand. The
// last method does not exist.
func (z *fuzzer) serve(t *testing.T, method int, args []byte) {
	t.Helper()
	got, err := raw(t.Context(), z.service, z.suite.Contract.Contract.ID, uint16(method), false, args)
	if err != nil {
		t.Fatalf("method %d was not answered: %v", method, err)
	}
	if got.status != 0 {
		return
	}
	if method == len(z.suite.Calls) {
		t.Fatal("a method that does not exist has results")
	}
	if err := z.receive(method, got.payload); err != nil {
		t.Fatalf("method %d: the client does not understand the service: %v", method, err)
	}
}

// receive has the client of a method decode results.
func (z *fuzzer) receive(method int, results []byte) error {
	z.results = results
	return z.suite.Calls[method](context.Background(), over{z.canned})
}
