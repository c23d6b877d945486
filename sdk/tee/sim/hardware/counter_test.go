package hardware_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/secgear/secgear/sdk/tee/sim/hardware"
)

func expect(t *testing.T, what string, got uint64, err error, want uint64) {
	t.Helper()
	if err != nil || got != want {
		t.Errorf("%s: %d, %v; want %d", what, got, err, want)
	}
}

func TestCounters(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir).Enclave(identity())
	v, err := e.Counter("a")
	expect(t, "unused", v, err, 0)
	for i := range uint64(3) {
		v, err = e.Increment("a")
		expect(t, "incremented", v, err, i+1)
	}
	v, err = e.Counter("a")
	expect(t, "read", v, err, 3)
	v, err = e.Counter("b")
	expect(t, "another", v, err, 0)

	again := open(t, dir).Enclave(identity())
	v, err = again.Increment("a")
	expect(t, "after a restart", v, err, 4)

	id := identity()
	id.Digest[0]++
	id.Manifest.SecurityVersion++
	v, err = open(t, dir).Enclave(id).Counter("a")
	expect(t, "the next version's", v, err, 4)
	id.Manifest.Name = "other"
	v, err = open(t, dir).Enclave(id).Counter("a")
	expect(t, "another name's", v, err, 0)
	id = identity()
	id.Signer[0]++
	v, err = open(t, dir).Enclave(id).Counter("a")
	expect(t, "another signer's", v, err, 0)
}

// TestCountersAreShared: machines in several processes count together, which
// only the file lock sees to.
func TestCountersAreShared(t *testing.T) {
	const machines, each = 4, 10
	dir := t.TempDir()
	var mu sync.Mutex
	seen := map[uint64]bool{}
	var wg sync.WaitGroup
	for range machines {
		wg.Go(func() {
			m, err := hardware.Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			for range each {
				v, err := m.Enclave(identity()).Increment("a")
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				seen[v] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != machines*each || !seen[machines*each] {
		t.Errorf("%d increments gave %d values", machines*each, len(seen))
	}
}

func TestCounterRefusesIDs(t *testing.T) {
	e := open(t, t.TempDir()).Enclave(identity())
	for _, id := range []string{"", strings.Repeat("x", hardware.MaxCounterID+1), "a\x00", "a\n", "ä"} {
		if _, err := e.Increment(id); !errors.Is(err, hardware.ErrRefused) {
			t.Errorf("Increment(%q): %v", id, err)
		}
		if _, err := e.Counter(id); !errors.Is(err, hardware.ErrRefused) {
			t.Errorf("Counter(%q): %v", id, err)
		}
	}
	// Whatever an id says, it names no file.
	for _, id := range []string{"..", "../../platform-secret", "/", strings.Repeat("x", hardware.MaxCounterID)} {
		v, err := e.Increment(id)
		expect(t, id, v, err, 1)
	}
}

// counterFile returns the file of the only counter in dir.
func counterFile(t *testing.T, dir string) string {
	t.Helper()
	var files []string
	all, err := filepath.Glob(filepath.Join(dir, "counters", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if !strings.HasSuffix(f, ".lock") {
			files = append(files, f)
		}
	}
	if len(files) != 1 {
		t.Fatalf("counter files: %q", files)
	}
	return files[0]
}

// TestDamagedCounterIsReported: a damaged counter must never read as zero, or as
// any other value.
func TestDamagedCounterIsReported(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"empty":         func(b []byte) []byte { return nil },
		"torn":          func(b []byte) []byte { return b[:len(b)/2] },
		"shorter":       func(b []byte) []byte { return b[:len(b)-1] },
		"longer":        func(b []byte) []byte { return append(b, 0) },
		"value changed": func(b []byte) []byte { b[26]++; return b },
		"zeros":         func(b []byte) []byte { clear(b); return b },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := open(t, dir).Enclave(identity()).Increment("a"); err != nil {
				t.Fatal(err)
			}
			file := counterFile(t, dir)
			rewrite(t, file, damage)
			e := open(t, dir).Enclave(identity())
			if v, err := e.Counter("a"); err == nil || v != 0 || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("Counter: %d, %v", v, err)
			}
			if v, err := e.Increment("a"); err == nil || v != 0 {
				t.Errorf("Increment: %d, %v", v, err)
			}
		})
	}
}

// TestCountersAreNotExchanged: one counter's file is no good for another.
func TestCountersAreNotExchanged(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir).Enclave(identity())
	if _, err := e.Increment("a"); err != nil {
		t.Fatal(err)
	}
	a := counterFile(t, dir)
	content, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(a); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Increment("b"); err != nil {
		t.Fatal(err)
	}
	rewrite(t, counterFile(t, dir), func([]byte) []byte { return content })
	if v, err := open(t, dir).Enclave(identity()).Counter("b"); err == nil {
		t.Errorf("b reads %d from a's file", v)
	}
}

// TestCounterIsNotTurnedBack: what the machine has seen, it remembers while it
// runs.
func TestCounterIsNotTurnedBack(t *testing.T) {
	for name, back := range map[string]func(t *testing.T, file string, old []byte){
		"older file": func(t *testing.T, file string, old []byte) { rewrite(t, file, func([]byte) []byte { return old }) },
		"no file": func(t *testing.T, file string, old []byte) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			e := open(t, dir).Enclave(identity())
			if _, err := e.Increment("a"); err != nil {
				t.Fatal(err)
			}
			file := counterFile(t, dir)
			old, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.Increment("a"); err != nil {
				t.Fatal(err)
			}
			back(t, file, old)
			if v, err := e.Counter("a"); err == nil || !strings.Contains(err.Error(), "turned back") {
				t.Errorf("Counter: %d, %v", v, err)
			}
			if v, err := e.Increment("a"); err == nil {
				t.Errorf("Increment: %d, %v", v, err)
			}
		})
	}
}

// TestCountersSurviveACrash: what a crash leaves of a replacement is no
// obstacle.
func TestCountersSurviveACrash(t *testing.T) {
	dir := t.TempDir()
	if _, err := open(t, dir).Enclave(identity()).Increment("a"); err != nil {
		t.Fatal(err)
	}
	file := counterFile(t, dir)
	if err := os.WriteFile(file+".new", []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := open(t, dir).Enclave(identity()).Increment("a")
	expect(t, "after the crash", v, err, 2)
	counterFile(t, dir) // nothing else is left
}

// TestLinksAreNotFollowed: a link where a replacement is written leads to no
// other file's loss.
func TestLinksAreNotFollowed(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := func(name string) {
		t.Helper()
		if err := os.Symlink(other, name+".new"); err != nil {
			t.Skipf("no links here: %v", err)
		}
	}
	link(filepath.Join(dir, "platform-secret"))
	if _, err := open(t, dir).Enclave(identity()).Increment("a"); err != nil {
		t.Fatal(err)
	}
	link(counterFile(t, dir))
	v, err := open(t, dir).Enclave(identity()).Increment("a")
	expect(t, "counter", v, err, 2)
	if got, err := os.ReadFile(other); err != nil || string(got) != "precious" {
		t.Errorf("the other file holds %q, %v", got, err)
	}
}

func TestCountersAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a thousand files")
	}
	e := open(t, t.TempDir()).Enclave(identity())
	for i := range 1024 {
		if _, err := e.Increment(fmt.Sprint(i)); err != nil {
			t.Fatal(i, err)
		}
	}
	if _, err := e.Increment("one more"); !errors.Is(err, hardware.ErrRefused) {
		t.Errorf("error: %v", err)
	}
	v, err := e.Increment("7")
	expect(t, "one of them", v, err, 2)
}
