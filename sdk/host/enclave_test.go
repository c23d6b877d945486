package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/internal/control"
	"github.com/secgear/secgear/sdk/tee"
)

var contract = &call.Contract{Name: "test.C", ID: 7, Methods: []call.Method{{Name: "Do"}, {Name: "DoSwitched", Switched: true}}}

// begin starts a call without arguments.
func begin(ctx context.Context, e *Enclave, method uint16) *call.Pending {
	p := new(call.Pending)
	var enc call.Encoder
	p.Begin(ctx, e, contract, method, 0, &enc)
	p.Start(&enc)
	return p
}

// readyThen is an enclave that becomes ready and then does something.
func readyThen(do func(*fakeEnclave)) func(*fakeEnclave) {
	return func(e *fakeEnclave) {
		e.hear()
		e.open()
		e.say(&control.Ready{Version: control.Version})
		do(e)
	}
}

// TestDeath: whatever ends an enclave, calls in flight and later ones fail with
// ErrLost and the reason.
func TestDeath(t *testing.T) {
	tests := []struct {
		name string
		do   func(*fakeEnclave)
		want string
	}{
		{"dies", func(e *fakeEnclave) { e.err = errFake }, errFake.Error()},
		{"ends by itself", func(e *fakeEnclave) {}, "ended by itself"},
		{"garbage", func(e *fakeEnclave) { e.control.Write(make([]byte, 100)); <-e.killed }, control.ErrProtocol.Error()},
		{"ready twice", func(e *fakeEnclave) { e.say(&control.Ready{Version: 1}); <-e.killed }, "out of order"},
		{"failed after ready", func(e *fakeEnclave) { e.say(&control.Failed{}); <-e.killed }, "out of order"},
		{"stopped twice", func(e *fakeEnclave) { e.say(&control.Stopped{}); e.say(&control.Stopped{}); <-e.killed }, "out of order"},
		{"only its lane ends", func(e *fakeEnclave) { e.lane.Close(); <-e.killed }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			proceed := make(chan struct{})
			e := mustLoad(t, testOptions(t, &fakeTEE{live: readyThen(func(e *fakeEnclave) {
				<-proceed
				tt.do(e)
			})}))
			if e.Err() != nil {
				t.Errorf("alive, but Err is %v", e.Err())
			}
			var flying []*call.Pending
			for i := range 4 {
				flying = append(flying, begin(context.Background(), e, uint16(i%2)))
			}
			close(proceed)
			for i, p := range flying {
				err := p.Wait(new(call.Decoder))
				if !errors.Is(err, tee.ErrLost) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("call %d in flight: %v, want %q", i, err, tt.want)
				}
			}
			<-e.Done()
			if err := e.Err(); !errors.Is(err, tee.ErrLost) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Err: %v", err)
			}
			if err := begin(t.Context(), e, 0).Wait(new(call.Decoder)); !errors.Is(err, tee.ErrLost) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("call after death: %v", err)
			}
			if err := e.Close(); err != nil {
				t.Errorf("Close after death: %v", err)
			}
			if !errors.Is(e.Err(), tee.ErrLost) {
				t.Errorf("Err after Close: %v", e.Err())
			}
		})
	}
}

// TestCloseHostile: an enclave that does not stop costs the grace, not more.
func TestCloseHostile(t *testing.T) {
	tests := []struct {
		name string
		do   func(*fakeEnclave)
	}{
		{"does not read", func(e *fakeEnclave) { <-e.killed }},
		{"does not answer", func(e *fakeEnclave) { e.hear(); <-e.killed }},
		{"answers with garbage", func(e *fakeEnclave) { e.hear(); e.control.Write(make([]byte, 100)); <-e.killed }},
		{"dies", func(e *fakeEnclave) { e.hear(); e.err = errFake }},
		{"answers and stays", func(e *fakeEnclave) { e.hear(); e.say(&control.Stopped{}); <-e.killed }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := testOptions(t, &fakeTEE{live: readyThen(tt.do)})
			o.Grace = 10 * time.Millisecond
			e := mustLoad(t, o)
			p := begin(context.Background(), e, 0)
			if err := e.Close(); err != nil {
				t.Errorf("closing: %v", err)
			}
			if err := p.Wait(new(call.Decoder)); !errors.Is(err, tee.ErrClosed) {
				t.Errorf("call in flight: %v", err)
			}
			if err := e.Err(); err != nil {
				t.Errorf("Err: %v", err)
			}
			if _, err := e.Lane(t.Context(), nil); !errors.Is(err, tee.ErrClosed) {
				t.Errorf("Lane: %v", err)
			}
			if _, err := e.NewBuffer(t.Context(), 1); !errors.Is(err, tee.ErrClosed) {
				t.Errorf("NewBuffer: %v", err)
			}
		})
	}
}

func TestCloseWhileItDies(t *testing.T) {
	for range 20 {
		proceed := make(chan struct{})
		e := mustLoad(t, testOptions(t, &fakeTEE{live: readyThen(func(e *fakeEnclave) { <-proceed })}))
		var wg sync.WaitGroup
		wg.Go(func() { close(proceed) })
		for range 2 {
			wg.Go(func() { e.Close() })
		}
		wg.Wait()
		if err := e.Err(); err != nil && !errors.Is(err, tee.ErrLost) {
			t.Fatal(err)
		}
	}
}

func TestHelloCarriesSettings(t *testing.T) {
	heard := make(chan *control.Hello, 1)
	o := testOptions(t, &fakeTEE{live: func(e *fakeEnclave) {
		hello, _ := e.hear().(*control.Hello)
		heard <- hello
		e.open()
		e.say(&control.Ready{Version: control.Version})
		<-e.killed
	}})
	o.Workers, o.Spin = 3, -1
	o.Log = slog.New(slog.NewTextHandler(new(recorder), &slog.HandlerOptions{Level: slog.LevelWarn}))
	o.Grace = time.Millisecond
	mustLoad(t, o)
	want := control.Hello{Version: control.Version, Level: 4, Workers: 3, Spin: -1}
	if got := <-heard; got == nil || *got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestLogHostile: records can neither forge nor flood.
func TestLogHostile(t *testing.T) {
	rec := new(recorder)
	o := testOptions(t, &fakeTEE{live: readyThen(func(e *fakeEnclave) {
		e.say(&control.Log{Level: 4, Message: "a\nlevel=ERROR msg=forged", Attrs: []control.Attr{{Key: "msg\n", Value: "\x1b[0m"}}})
		for range 10_000 {
			e.say(&control.Log{Message: "flood"})
		}
	})})
	o.Log = rec.logger()
	e := mustLoad(t, o)
	<-e.Done()
	text := rec.text()
	if !strings.Contains(text, `WARN a level=ERROR msg=forged enclave=demo attrs.msg = [0m`) {
		t.Errorf("got %.300s", text)
	}
	if n := strings.Count(text, "flood"); n < 1 || n > 6000 {
		t.Errorf("%d records of a flood", n)
	}
	if !strings.Contains(text, "dropped") {
		t.Error("nothing tells that records were dropped")
	}
}

// TestLogBlocked: a logger that blocks delays neither calls nor Close for long.
func TestLogBlocked(t *testing.T) {
	rec := &recorder{block: make(chan struct{})}
	defer close(rec.block)
	o := testOptions(t, &fakeTEE{live: readyThen(func(e *fakeEnclave) {
		for range 1000 {
			e.say(&control.Log{Message: "flood"})
		}
		e.hear()
		e.say(&control.Stopped{})
		<-e.killed
	})})
	e := mustLoad(t, o)
	e.Close()
	o.Log = rec.logger()
	e, err := LoadImage(t.Context(), testImage(1), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestRate(t *testing.T) {
	now := time.Now()
	s := &sink{allowance: logBurst, last: now}
	count := func() (n int) {
		for s.allowed(now) {
			n++
		}
		return n
	}
	if n := count(); n != logBurst {
		t.Errorf("burst of %d", n)
	}
	now = now.Add(100 * time.Millisecond)
	if n := count(); n != logRate/10 {
		t.Errorf("%d after 100 ms", n)
	}
	now = now.Add(time.Hour)
	if n := count(); n != logBurst {
		t.Errorf("burst of %d after an hour", n)
	}
}

// recorder is a log handler that keeps what it is given, one record a line.
type recorder struct {
	mu     sync.Mutex
	lines  strings.Builder
	prefix string
	root   *recorder
	block  chan struct{} // if not nil: waited for by the enclave's records
}

func (r *recorder) logger() *slog.Logger { return slog.New(r) }

func (r *recorder) Write(p []byte) (int, error)                  { return len(p), nil }
func (r *recorder) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }
func (r *recorder) WithGroup(string) slog.Handler                { return r }

func (r *recorder) WithAttrs(attrs []slog.Attr) slog.Handler {
	root := r
	if r.root != nil {
		root = r.root
	}
	return &recorder{root: root, prefix: r.prefix + fmt.Sprint(attrs), block: r.block}
}

func (r *recorder) Handle(_ context.Context, rec slog.Record) error {
	root := r
	if r.root != nil {
		root = r.root
		if r.block != nil {
			<-r.block
		}
	}
	root.mu.Lock()
	defer root.mu.Unlock()
	fmt.Fprintf(&root.lines, "%v %s", rec.Level, rec.Message)
	if r.root != nil {
		root.lines.WriteString(" " + strings.Trim(r.prefix, "[]"))
	}
	rec.Attrs(func(a slog.Attr) bool {
		if a.Value.Kind() == slog.KindGroup {
			for _, m := range a.Value.Group() {
				fmt.Fprintf(&root.lines, " %s.%v", a.Key, m)
			}
			return true
		}
		fmt.Fprintf(&root.lines, " %v", a)
		return true
	})
	root.lines.WriteByte('\n')
	return nil
}

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines.String()
}
