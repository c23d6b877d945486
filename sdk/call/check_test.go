package call

import (
	"errors"
	"math"
	"testing"
)

func TestProduct(t *testing.T) {
	tests := []struct{ a, b, want uint64 }{
		{0, 0, 0},
		{0, 5, 0},
		{3, 5, 15},
		{1 << 32, 1<<32 - 1, 1<<64 - 1<<32},
		{1 << 32, 1 << 32, unmet},
		{1 << 63, 2, unmet},
		{math.MaxUint64, 1, unmet},
		{math.MaxUint64, 0, unmet},
		{0, math.MaxUint64, unmet},
	}
	for _, tt := range tests {
		if got := Product(tt.a, tt.b); got != tt.want {
			t.Errorf("%d * %d = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestNumber(t *testing.T) {
	type mode int8
	for _, tt := range []struct{ got, want uint64 }{
		{Number(0), 0},
		{Number(int8(-1)), unmet},
		{Number(math.MinInt64), unmet},
		{Number(mode(-3)), unmet},
		{Number(mode(3)), 3},
		{Number(uint64(math.MaxUint64)), unmet},
		{Number(uint32(math.MaxUint32)), math.MaxUint32},
	} {
		if tt.got != tt.want {
			t.Errorf("got %d, want %d", tt.got, tt.want)
		}
	}
}

// TestDemands: which lengths and texts encoder and decoder refuse.
func TestDemands(t *testing.T) {
	type demands interface {
		Exactly(what string, have, want uint64)
		AtMost(what string, have, most uint64)
		NoZero(what string, zero bool)
		Within(what string, within bool)
		End() error
	}
	tests := []struct {
		name   string
		demand func(demands)
		ok     bool
	}{
		{"exactly", func(d demands) { d.Exactly("x", 4, 4) }, true},
		{"exactly nothing", func(d demands) { d.Exactly("x", 0, 0) }, true},
		{"more", func(d demands) { d.Exactly("x", 5, 4) }, false},
		{"less", func(d demands) { d.Exactly("x", 3, 4) }, false},
		{"never met", func(d demands) { d.Exactly("x", unmet, unmet) }, false},
		{"at most", func(d demands) { d.AtMost("x", 4, 4) }, true},
		{"below", func(d demands) { d.AtMost("x", 0, 4) }, true},
		{"above", func(d demands) { d.AtMost("x", 5, 4) }, false},
		{"at most what is never met", func(d demands) { d.AtMost("x", 0, unmet) }, false},
		{"text", func(d demands) { d.NoZero("x", HasNUL("ab")) }, true},
		{"text with a NUL", func(d demands) { d.NoZero("x", HasNUL("a\x00")) }, false},
		{"wide text", func(d demands) { d.NoZero("x", HasZero([]rune("ab"))) }, true},
		{"wide text with a 0", func(d demands) { d.NoZero("x", HasZero([]rune{0})) }, false},
		{"bytes with a 0", func(d demands) { d.NoZero("x", HasZero([]byte{1, 0})) }, false},
		{"within", func(d demands) { d.Within("x", true) }, true},
		{"not within", func(d demands) { d.Within("x", false) }, false},
		{"the first of two", func(d demands) { d.Exactly("x", 1, 2); d.Exactly("y", 1, 1) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, d := NewEncoder(nil), NewDecoder(nil)
			for _, side := range []demands{&e, &d} {
				tt.demand(side)
				if err := side.End(); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrCheck) {
					t.Errorf("%T: %v", side, err)
				}
			}
		})
	}
}

// TestDemandAfterFault: what was wrong first is what is told.
func TestDemandAfterFault(t *testing.T) {
	d := NewDecoder([]byte{1})
	d.Uint64()
	d.Exactly("x", 1, 2)
	if err := d.End(); !errors.Is(err, ErrMessage) {
		t.Errorf("got %v", err)
	}
}
