package enclave

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/secgear/secgear/sdk/call"
)

func TestServices(t *testing.T) {
	clock, store := "example.com/demo.Clock", "example.com/demo.Store"
	tests := []struct {
		name     string
		manifest []string
		contract string
		allowed  bool
	}{
		{"listed", []string{clock}, clock, true},
		{"listed last", []string{store, clock}, clock, true},
		{"all", []string{"*"}, clock, true},
		{"not listed", []string{store}, clock, false},
		{"none listed", nil, clock, false},
		{"begins like one", []string{clock + "s"}, clock, false},
		{"no name", []string{clock}, "", false},
		{"called as the wildcard", []string{clock}, "*", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := allow(tt.manifest)
			c := &call.Contract{Name: tt.contract}
			for range 2 { // the second time by the pointer
				err := s.check(c)
				if tt.allowed && err != nil {
					t.Errorf("refused: %v", err)
				}
				if !tt.allowed && (!errors.Is(err, ErrNotAllowed) || !strings.Contains(err.Error(), `"services" do not list `+tt.contract)) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

// TestServicesSameName: contracts of one name, made by hand, push each other
// out of what is remembered and stay allowed.
func TestServicesSameName(t *testing.T) {
	s := allow([]string{"demo.Clock", "demo.Store"})
	var wg sync.WaitGroup
	for i := range 4 {
		c := &call.Contract{Name: []string{"demo.Clock", "demo.Store"}[i%2]}
		wg.Go(func() {
			for range 100 {
				if err := s.check(c); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := s.check(&call.Contract{Name: "demo.Other"}); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("got %v", err)
	}
}

// TestServicesAllocs: what is allowed costs a call no allocation.
func TestServicesAllocs(t *testing.T) {
	s := allow([]string{"demo.Store", "demo.Clock"})
	c := &call.Contract{Name: "demo.Clock"}
	if n := testing.AllocsPerRun(100, func() {
		if err := s.check(c); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestLaneNotAllowed: the refusal does not wait for a lane.
func TestLaneNotAllowed(t *testing.T) {
	p, _ := newBare(t, 1)
	_, err := inside(t, p).Lane(context.Background(), &call.Contract{Name: "demo.Clock"})
	if !errors.Is(err, ErrNotAllowed) {
		t.Errorf("got %v", err)
	}
}
