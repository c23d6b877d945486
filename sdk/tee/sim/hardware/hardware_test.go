package hardware_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/sim/evidence"
	"github.com/secgear/secgear/sdk/tee/sim/hardware"
)

func open(t *testing.T, dir string) *hardware.Machine {
	t.Helper()
	m, err := hardware.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func identity() tee.Identity {
	return tee.Identity{
		Digest:   image.Digest{1},
		Signer:   image.SignerID{2},
		Manifest: image.Manifest{Name: "vault", SecurityVersion: 5},
	}
}

func TestSecretIsKept(t *testing.T) {
	dir := t.TempDir()
	a, b, other := open(t, dir), open(t, dir), open(t, t.TempDir())
	if !a.Key().Equal(b.Key()) {
		t.Error("a second opening made another secret")
	}
	if a.Key().Equal(other.Key()) {
		t.Error("two machines have the same secret")
	}
	info, err := os.Stat(filepath.Join(dir, "platform-secret"))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("secret has mode %v", info.Mode())
	}
}

// TestFirstOpeningsAgree: whoever opens a new machine at the same time gets the
// same one.
func TestFirstOpeningsAgree(t *testing.T) {
	dir := t.TempDir()
	keys := make([]string, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			m, err := hardware.Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = string(m.Key())
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] {
			t.Error("two openings got different machines")
		}
	}
}

func TestDamagedSecretIsReported(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"empty":   func(b []byte) []byte { return nil },
		"torn":    func(b []byte) []byte { return b[:len(b)-1] },
		"longer":  func(b []byte) []byte { return append(b, 0) },
		"changed": func(b []byte) []byte { b[40] ^= 1; return b },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			open(t, dir)
			rewrite(t, filepath.Join(dir, "platform-secret"), damage)
			if _, err := hardware.Open(dir); err == nil || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("error: %v", err)
			}
		})
	}
}

func TestReadableSecretIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no Unix permissions")
	}
	dir := t.TempDir()
	open(t, dir)
	if err := os.Chmod(filepath.Join(dir, "platform-secret"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := hardware.Open(dir); err == nil {
		t.Error("a secret that others can read was accepted")
	}
}

func rewrite(t *testing.T, name string, f func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, f(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestSealingKeys: what each policy binds, and what it leaves open.
func TestSealingKeys(t *testing.T) {
	dir := t.TempDir()
	salt := [32]byte{9}
	base := func(t *testing.T, p tee.Policy) [32]byte { return sealingKey(t, open(t, dir), identity(), p, 3, salt) }
	for name, tt := range map[string]struct {
		change               func(*tee.Identity)
		sameImage, sameOwner bool
	}{
		"nothing":        {func(*tee.Identity) {}, true, true},
		"digest":         {func(id *tee.Identity) { id.Digest[31] = 1 }, false, true},
		"signer":         {func(id *tee.Identity) { id.Signer[31] = 1 }, true, false},
		"name":           {func(id *tee.Identity) { id.Manifest.Name = "vaulu" }, true, false},
		"higher version": {func(id *tee.Identity) { id.Manifest.SecurityVersion = 6 }, true, true},
		"debug":          {func(id *tee.Identity) { id.Manifest.Debug = true }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			id := identity()
			tt.change(&id)
			m := open(t, dir)
			if same := sealingKey(t, m, id, tee.PolicyImage, 3, salt) == base(t, tee.PolicyImage); same != tt.sameImage {
				t.Errorf("PolicyImage gives the same key: %v", same)
			}
			if same := sealingKey(t, m, id, tee.PolicySigner, 3, salt) == base(t, tee.PolicySigner); same != tt.sameOwner {
				t.Errorf("PolicySigner gives the same key: %v", same)
			}
		})
	}
	for _, p := range []tee.Policy{tee.PolicyImage, tee.PolicySigner} {
		keys := map[[32]byte]bool{
			base(t, p): true,
			sealingKey(t, open(t, dir), identity(), p, 4, salt):            true,
			sealingKey(t, open(t, dir), identity(), p, 3, [32]byte{31: 9}): true,
			sealingKey(t, open(t, t.TempDir()), identity(), p, 3, salt):    true,
			sealingKey(t, open(t, dir), identity(), 3-p, 3, salt):          true,
		}
		if len(keys) != 5 {
			t.Errorf("policy %d: %d different keys for 5 different requests", p, len(keys))
		}
	}
}

func sealingKey(t *testing.T, m *hardware.Machine, id tee.Identity, p tee.Policy, version uint32, salt [32]byte) [32]byte {
	t.Helper()
	key, err := m.Enclave(id).SealingKey(p, version, salt)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestSealingKeyRefuses(t *testing.T) {
	e := open(t, t.TempDir()).Enclave(identity())
	for name, try := range map[string]struct {
		policy  tee.Policy
		version uint32
	}{
		"a version above its own": {tee.PolicySigner, 6},
		"policy 0":                {0, 1},
		"an unknown policy":       {3, 1},
	} {
		if key, err := e.SealingKey(try.policy, try.version, [32]byte{}); !errors.Is(err, hardware.ErrRefused) || key != [32]byte{} {
			t.Errorf("%s: key %x, error %v", name, key, err)
		}
	}
	if _, err := e.SealingKey(tee.PolicySigner, 5, [32]byte{}); err != nil {
		t.Errorf("its own version: %v", err)
	}
}

func TestEvidence(t *testing.T) {
	m := open(t, t.TempDir())
	id := identity()
	id.Manifest.Debug = true
	data := [64]byte{1, 63: 2}
	raw, err := m.Enclave(id).Evidence(data)
	if err != nil {
		t.Fatal(err)
	}
	got, err := evidence.Verify(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := evidence.Evidence{
		Digest: id.Digest, Signer: id.Signer, SecurityVersion: 5, Debug: true, Name: "vault",
		Data: data, Machine: [32]byte(m.Key()),
	}
	if *got != want {
		t.Errorf("got %+v, want %+v", *got, want)
	}
}
