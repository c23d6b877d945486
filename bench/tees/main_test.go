package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"
)

// TestSandbox compares the sandbox with itself.
func TestSandbox(t *testing.T) {
	if err := os.Chdir(".."); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chdir("tees") })
	var out bytes.Buffer
	b := bench{to: &out, time: 200 * time.Millisecond}
	if err := b.run(t.Context(), "sim"); err != nil {
		t.Fatal(err)
	}
	var names []string
	for dec := json.NewDecoder(&out); dec.More(); {
		var l line
		if err := dec.Decode(&l); err != nil {
			t.Fatal(err)
		}
		if l.TEE != "sim" || l.Value == nil || *l.Value <= 0 || l.Unit == "" {
			t.Errorf("line %+v", l)
		}
		names = append(names, l.Name)
	}
	if len(names) != 5 {
		t.Errorf("lines: %q", names)
	}
}

func TestUnknown(t *testing.T) {
	if _, err := choose(nil, "nothing"); err == nil {
		t.Error("chosen")
	}
}
