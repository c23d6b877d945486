package trace_test

import (
	"context"
	"errors"
	"testing"

	"github.com/secgear/secgear/sdk/trace"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestWith(t *testing.T) {
	tests := []struct {
		name, parent, state string
		wantState           string
		err                 error
	}{
		{"both", parent, "congo=t61rcWkgMzE", "congo=t61rcWkgMzE", nil},
		{"parent alone", parent, "", "", nil},
		{"state that is none", parent, "CONGO", "", nil},
		{"parent that is none", "00-x", "congo=t61rcWkgMzE", "", trace.ErrParent},
		{"nothing", "", "", "", trace.ErrParent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, err := trace.With(t.Context(), tt.parent, tt.state)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v", err)
			}
			p, s, ok := trace.From(ctx)
			if ok != (tt.err == nil) || ok && p != tt.parent || s != tt.wantState {
				t.Errorf("got %q, %q, %v", p, s, ok)
			}
		})
	}
}

func TestFromNothing(t *testing.T) {
	if _, _, ok := trace.From(context.Background()); ok {
		t.Error("found one")
	}
}

// TestContextIsAsBefore: the context ends, and has values, as the one it was
// made from.
func TestContextIsAsBefore(t *testing.T) {
	type key struct{}
	outer, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, 1))
	ctx, err := trace.With(outer, parent, "")
	if err != nil {
		t.Fatal(err)
	}
	inner, stop := context.WithCancel(ctx)
	defer stop()
	if ctx.Value(key{}) != 1 || ctx.Err() != nil {
		t.Error("the value is missing")
	}
	cancel()
	<-inner.Done()
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("got %v", ctx.Err())
	}
}
