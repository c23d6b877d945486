package main

import (
	"testing"
	"time"

	"github.com/secgear/secgear/bench/internal/drive"
	"github.com/secgear/secgear/sdk/enclavetest"
)

// TestCandidate runs every work on a real enclave in the simulation.
func TestCandidate(t *testing.T) {
	e := enclavetest.Start(t, nil, enclavetest.Sandboxed(), enclavetest.WithPackage("../echo/enclave"))
	works, err := candidateWorks(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		for _, turn := range g.turns {
			if turn.who == ours && works[turn.work] == nil {
				t.Errorf("%s is in the plan and can't be done", turn.work)
			}
		}
	}
	numbers := map[string]int{"pauses_host": 4, "pauses_enclave": 4, "allocations": 3}
	for name, work := range works {
		t.Run(name, func(t *testing.T) {
			got, err := work(5 * time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if want, ok := numbers[name]; ok {
				if len(got) != want {
					t.Errorf("answered %v instead of %d numbers", got, want)
				}
				return
			}
			if s, err := drive.AsSlice(got); err != nil || s.Median < 10 {
				t.Errorf("answered %v, %v", got, err)
			}
		})
	}
}
