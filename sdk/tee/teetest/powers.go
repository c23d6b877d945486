package teetest

import (
	"strconv"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

// testSealingKeys: a key is the same after a restart, and another for whoever
// is not entitled to it.
func (s Suite) testSealingKeys(t *testing.T) {
	dir := s.StateDir(t)
	type request struct {
		policy  tee.Policy
		version uint32
		salt    string
	}
	requests := []request{
		{tee.PolicyImage, 5, "salt"},
		{tee.PolicySigner, 5, "salt"},
		{tee.PolicySigner, 4, "salt"},
		{tee.PolicyImage, 5, "other"},
		{tee.PolicySigner, 5, "other"},
	}
	keys := func(m image.Manifest, signer byte, dir string) []string {
		e := s.launch(t, m, signer, dir)
		defer e.Close()
		var keys []string
		for _, r := range requests {
			keys = append(keys, e.Control.Power("sealingkey", r.policy, r.version, r.salt))
		}
		return keys
	}
	first := keys(Manifest(), 1, dir)
	seen := map[string]int{}
	for i, k := range first {
		if j, ok := seen[k]; ok || len(k) != 64 {
			t.Errorf("request %d: key %s, as request %d", i, k, j)
		}
		seen[k] = i
	}
	newer := Manifest()
	newer.SecurityVersion = 6
	renamed := Manifest()
	renamed.Name = "other"
	debug := Manifest()
	debug.Debug = true
	for name, tt := range map[string]struct {
		keys []string
		same []bool
	}{
		"the same again":  {keys(Manifest(), 1, dir), []bool{true, true, true, true, true}},
		"newer version":   {keys(newer, 1, dir), []bool{false, true, true, false, true}},
		"other signer":    {keys(Manifest(), 2, dir), make([]bool, 5)},
		"other name":      {keys(renamed, 1, dir), make([]bool, 5)},
		"debug image":     {keys(debug, 1, dir), make([]bool, 5)},
		"another machine": {keys(Manifest(), 1, s.StateDir(t)), make([]bool, 5)},
	} {
		for i, k := range tt.keys {
			// The image's digest does not cover who signed it.
			if name == "other signer" && requests[i].policy == tee.PolicyImage {
				continue
			}
			if (k == first[i]) != tt.same[i] {
				t.Errorf("%s, request %d: the same key: %v", name, i, k == first[i])
			}
		}
	}
	e := s.launch(t, Manifest(), 1, dir)
	e.Control.Refused("sealingkey", tee.PolicySigner, 6, "salt")
	e.Control.Refused("sealingkey", 0, 5, "salt")
	e.Control.Refused("sealingkey", 77, 5, "salt")
}

// testEvidence: evidence speaks of the data it was asked for. What it says is
// the verifier's tests' business.
func (s Suite) testEvidence(t *testing.T) {
	e := s.launch(t, Manifest(), 1, s.StateDir(t))
	a, b := e.Control.Power("evidence", "nonce-a"), e.Control.Get("evidence", "nonce-b")
	if a == "" || a == b {
		t.Errorf("evidence over two nonces: %q, %q", a, b)
	}
}

// testCounters: counters go up, survive the enclave, and are their owner's.
func (s Suite) testCounters(t *testing.T) {
	dir := s.StateDir(t)
	e := s.launch(t, Manifest(), 1, dir)
	if got := e.Control.Power("counter", "a"); got != "0" {
		t.Errorf("an unused counter reads %s", got)
	}
	for i := range 3 {
		if got := e.Control.Get("increment", "a"); got != strconv.Itoa(i+1) {
			t.Errorf("increment number %d: %s", i+1, got)
		}
	}
	e.Control.Refused("increment", strings.Repeat("x", 100_000))
	e.Close()

	newer := Manifest()
	newer.SecurityVersion++
	e = s.launch(t, newer, 1, dir)
	if got := e.Control.Get("increment", "a"); got != "4" {
		t.Errorf("after a restart: %s", got)
	}
	if got := e.Control.Get("counter", "b"); got != "0" {
		t.Errorf("another counter: %s", got)
	}
	other := Manifest()
	other.Name = "other"
	if got := s.launch(t, other, 1, dir).Control.Get("counter", "a"); got != "0" {
		t.Errorf("another program's counter: %s", got)
	}
	if got := s.launch(t, Manifest(), 2, dir).Control.Get("counter", "a"); got != "0" {
		t.Errorf("another signer's counter: %s", got)
	}
}

// testSecretMemory: secret memory is zero, usable, and bounded.
func (s Suite) testSecretMemory(t *testing.T) {
	e := s.launch(t, Manifest(), 1, s.StateDir(t))
	for _, n := range []int{1, 4096, 100_000} {
		if got := e.Control.Power("secret", n); got != strconv.Itoa(n) {
			t.Errorf("%d bytes: %s", n, got)
		}
	}
	for _, n := range []int64{0, -1, 1 << 40} {
		e.Control.Refused("secret", n)
	}
}
