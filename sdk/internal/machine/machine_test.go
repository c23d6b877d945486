package machine

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/tpm"
	"github.com/secgear/secgear/sdk/measured"
	"github.com/secgear/secgear/sdk/tee"
)

// scripted is a register that fails when it is told to.
type scripted struct {
	mu    sync.Mutex
	value []byte
	fail  error
	lose  bool // takes what it is extended with, and forgets it
}

func (r *scripted) Read() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.value), nil
}

func (r *scripted) Extend(digest []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	if !r.lose {
		r.value = measured.SHA384.Extend(r.value, digest)
	}
	return nil
}

func newMachine(t *testing.T) (*Machine, *scripted) {
	t.Helper()
	r := &scripted{value: make([]byte, 48)}
	return &Machine{TEE: "test", RTMR: r, LogDir: t.TempDir(), StateDir: t.TempDir()}, r
}

func identity(name string) tee.Identity {
	return tee.Identity{Digest: sha256.Sum256([]byte(name)), Manifest: image.DefaultManifest(name)}
}

// TestInterrupted: a launch that is cut off between the log and the register is
// made up for, and what was not measured is not launched.
func TestInterrupted(t *testing.T) {
	m, r := newMachine(t)
	if _, err := m.enter(identity("first"), ""); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	r.fail = broken
	before := bytes.Clone(r.value)
	if _, err := m.enter(identity("second"), ""); !errors.Is(err, broken) {
		t.Fatalf("entered: %v", err)
	}
	if !bytes.Equal(before, r.value) {
		t.Fatal("the register has changed")
	}
	if _, err := m.enter(identity("first"), ""); !errors.Is(err, broken) {
		t.Errorf("entered while the log and the register differ: %v", err)
	}
	r.fail = nil
	for _, name := range []string{"third", "second"} {
		if _, err := m.enter(identity(name), ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := m.withLog(func(l *log) error {
		if len(l.Events) != 3 {
			t.Errorf("%d events", len(l.Events))
		}
		return l.reconcile()
	})
	if err != nil {
		t.Error(err)
	}
}

// TestLost: a register that does not hold what it was given is noticed.
func TestLost(t *testing.T) {
	m, r := newMachine(t)
	r.lose = true
	if _, err := m.enter(identity("first"), ""); err == nil {
		t.Error("entered")
	}
}

// TestFull: there is an end to what can be measured, and what was measured
// before can still be launched.
func TestFull(t *testing.T) {
	m, _ := newMachine(t)
	for i := range measured.MaxEvents {
		if _, err := m.enter(identity("first"), strings.Repeat("x", i)); err != nil {
			if i < 100 {
				t.Fatalf("number %d: %v", i, err)
			}
			break
		}
	}
	if _, err := m.enter(identity("one more"), strings.Repeat("y", measured.MaxCommandLine)); err == nil {
		t.Error("one more was measured")
	}
	if _, err := m.enter(identity("first"), ""); err != nil {
		t.Errorf("what was measured: %v", err)
	}
}

// TestDamagedLog: a log that can't be read is no reason to begin another.
func TestDamagedLog(t *testing.T) {
	m, _ := newMachine(t)
	if err := os.WriteFile(filepath.Join(m.LogDir, logFile), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.enter(identity("first"), ""); !errors.Is(err, measured.ErrFormat) {
		t.Errorf("entered: %v", err)
	}
}

func testSecret() tpm.Secret {
	return tpm.Secret{TPM: []byte("name"), Salt: [32]byte{1}, PCRs: []measured.PCRValue{{Index: 4, Value: [32]byte{2}}, {Index: 7}}}
}

func TestSecretFile(t *testing.T) {
	b := encodeSecret(testSecret())
	for i := range b {
		if _, ok := parseSecret(b[:i]); ok {
			t.Errorf("cut to %d bytes: taken", i)
		}
		changed := bytes.Clone(b)
		changed[i] ^= 1
		if _, ok := parseSecret(changed); ok {
			t.Errorf("byte %d changed: taken", i)
		}
	}
	if s, ok := parseSecret(b); !ok || !bytes.Equal(encodeSecret(s), b) {
		t.Errorf("%+v, %v", s, ok)
	}
}

func FuzzSecretFile(f *testing.F) {
	b := encodeSecret(testSecret())
	f.Add(b[:len(b)-sha256.Size])
	f.Fuzz(func(t *testing.T, b []byte) {
		sum := sha256.Sum256(b)
		b = append(bytes.Clone(b), sum[:]...)
		if s, ok := parseSecret(b); ok && !bytes.Equal(encodeSecret(s), b) {
			t.Error("encoded again it is another")
		}
	})
}

// TestConcurrent: launches at the same time are measured one after another, or
// the log would not lead to the register's value.
func TestConcurrent(t *testing.T) {
	m, _ := newMachine(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			other := *m // as another process has it
			if _, err := other.enter(identity(string(rune('a'+i%4))), ""); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	err := m.withLog(func(l *log) error {
		if len(l.Events) != 4 {
			t.Errorf("%d events", len(l.Events))
		}
		return l.reconcile()
	})
	if err != nil {
		t.Error(err)
	}
}
