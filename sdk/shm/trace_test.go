package shm

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/internal/ring"
	"github.com/secgear/secgear/sdk/internal/tracecontext"
)

var tracing = tracecontext.Context{Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", State: "congo=t61rcWkgMzE"}

// tracePair is a lane whose ends answer with the trace context they see. Method 1
// asks the other side, and answers with what that saw.
func tracePair(t testing.TB) (host, enclave *Lane) {
	handler := handlerFunc(func(ctx context.Context, q *Request) {
		if q.Err() != nil {
			q.Fail(9, q.Err().Error())
			return
		}
		if q.Method() == 1 {
			got, err := do(ctx, q.lane, 0, q.Args())
			if err != nil {
				q.Fail(8, err.Error())
				return
			}
			respond(q, got)
			return
		}
		c, _ := Trace(ctx)
		respond(q, []byte(c.Parent+"|"+c.State+"|"+string(q.Args())))
	})
	a, b := Pipe(4 << 20)
	host, enclave = open(t, a, Host, handler, Config{Cooperative: true}), open(t, b, Enclave, handler, Config{Cooperative: true})
	t.Cleanup(func() {
		host.Close()
		enclave.Close()
		host.Join()
		enclave.Join()
	})
	return host, enclave
}

// saw is what tracePair's ends answer.
func saw(c tracecontext.Context, args string) string { return c.Parent + "|" + c.State + "|" + args }

func TestTrace(t *testing.T) {
	host, enclave := tracePair(t)
	type key struct{}
	traced := WithTrace(context.Background(), tracing)
	timed, cancel := context.WithTimeout(traced, time.Hour)
	defer cancel()
	other := tracecontext.Context{Parent: strings.Replace(tracing.Parent, "0af7", "1af7", 1)}
	tests := []struct {
		name string
		ctx  context.Context
		want tracecontext.Context
	}{
		{"none", context.Background(), tracecontext.Context{}},
		{"none, cancellable", t.Context(), tracecontext.Context{}},
		{"given", traced, tracing},
		{"given to a cancellable one", WithTrace(t.Context(), tracing), tracing},
		{"with a value", context.WithValue(traced, key{}, 1), tracing},
		{"with a timeout", timed, tracing},
		{"given twice", WithTrace(traced, other), other},
		{
			"longest", WithTrace(traced, tracecontext.Context{Parent: tracing.Parent, State: "a=" + strings.Repeat("b", 256) + ",c=" + strings.Repeat("d", 251)}),
			tracecontext.Context{Parent: tracing.Parent, State: "a=" + strings.Repeat("b", 256) + ",c=" + strings.Repeat("d", 251)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, l := range []*Lane{host, enclave} {
				for _, args := range []string{"", "x", strings.Repeat("y", 60), strings.Repeat("z", 5000)} {
					for method := range uint16(2) {
						for _, switched := range []bool{false, true} {
							got, err := doSwitched(tt.ctx, l, method, []byte(args), switched)
							if err != nil || string(got) != saw(tt.want, args) {
								t.Fatalf("method %d, switched %v, %d bytes: %.200q, %v", method, switched, len(args), got, err)
							}
						}
					}
				}
			}
		})
	}
}

// TestTraceInHandler: a handler that gives its calls a trace context of its own
// still makes nested calls.
func TestTraceInHandler(t *testing.T) {
	var level uint8
	a, b := Pipe(4 << 20)
	host := open(t, a, Host, handlerFunc(func(ctx context.Context, q *Request) {
		level = q.sub.Level
		c, _ := Trace(ctx)
		respond(q, []byte(c.Parent))
	}), Config{Cooperative: true})
	enclave := open(t, b, Enclave, handlerFunc(func(ctx context.Context, q *Request) {
		got, err := do(WithTrace(ctx, tracing), q.lane, 0, nil)
		if err != nil {
			q.Fail(8, err.Error())
			return
		}
		respond(q, got)
	}), Config{Cooperative: true})
	defer func() { host.Close(); enclave.Close(); host.Join(); enclave.Join() }()
	got, err := do(t.Context(), host, 0, nil)
	if err != nil || string(got) != tracing.Parent || level != 1 {
		t.Errorf("%q, %v, level %d", got, err, level)
	}
}

// TestTraceHostile: what the other side writes there is valid or absent, or the
// call fails; the lane stays.
func TestTraceHostile(t *testing.T) {
	put := func(parent, state string) string {
		c := tracecontext.Context{Parent: parent, State: state}
		b := make([]byte, c.Size())
		c.Put(b)
		return string(b)
	}
	tests := []struct {
		name, args string
		flags      uint8
		want       string // what the handler sees; empty: the call fails
	}{
		{"valid", put(tracing.Parent, tracing.State) + "x", ring.FlagTrace, saw(tracing, "x")},
		{"other text", put(strings.Repeat("\x1b", 55), "") + "x", ring.FlagTrace, saw(tracecontext.Context{}, "x")},
		{"other state", put(tracing.Parent, "\x1b[2J") + "x", ring.FlagTrace, saw(tracecontext.Context{Parent: tracing.Parent}, "x")},
		{"state too long", put(tracing.Parent, strings.Repeat("a", 513)), ring.FlagTrace, ""},
		{"state past the end", put(tracing.Parent, "abc")[:58], ring.FlagTrace, ""},
		{"short", "x", ring.FlagTrace, ""},
		{"nothing", "", ring.FlagTrace, ""},
		{"unknown flag", put(tracing.Parent, "") + "x", 3, ""},
		{"only an unknown flag", "x", 128, ""},
	}
	host, _ := tracePair(t)
	for _, tt := range tests {
		for _, switched := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				c, err := host.Begin(t.Context(), 1, 0, switched, len(tt.args))
				if err != nil {
					t.Fatal(err)
				}
				c.sub.Flags = tt.flags
				copy(c.Args(), tt.args)
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				got, err := finish(c, c.Ticket())
				if (err != nil) != (tt.want == "") || string(got) != tt.want {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
	}
	if got, err := do(t.Context(), host, 0, []byte("after")); err != nil || string(got) != saw(tracecontext.Context{}, "after") {
		t.Errorf("%q, %v", got, err)
	}
}

// TestTraceAllocs: without a trace context nothing is allocated for it.
func TestTraceAllocs(t *testing.T) {
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { within(ctx) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
