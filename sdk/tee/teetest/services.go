package teetest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/image/imagefile"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
)

// testSeal: what was sealed is opened again after a restart, and by nobody who
// is not entitled to it.
func (s Suite) testSeal(t *testing.T) {
	dir := s.StateDir(t)
	m := calleeManifest()
	c := s.load(t, m, dir)
	forImage := hex.EncodeToString([]byte(c.power("sealimage my secret")))
	forSigner := hex.EncodeToString([]byte(c.get("sealsigner my secret")))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	opens := func(c *callee, sealed string, want bool) {
		t.Helper()
		got, err := c.try("unseal " + sealed)
		if want && (err != nil || string(got) != "my secret") || !want && err == nil {
			t.Errorf("unsealed %q, %v; want it opened: %v", got, err, want)
		}
	}
	c = s.load(t, m, dir)
	opens(c, forImage, true)
	opens(c, forSigner, true)
	opens(c, forImage[:len(forImage)-2]+"00", forImage[len(forImage)-2:] == "00")

	newer := m
	newer.SecurityVersion++
	c = s.load(t, newer, dir)
	opens(c, forImage, false) // another image
	opens(c, forSigner, true)
	ofNewer := hex.EncodeToString([]byte(c.get("sealsigner my secret")))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	// The lower version would not be loaded at all where the higher was seen.
	if err := os.Remove(filepath.Join(dir, "security-versions")); err != nil {
		t.Fatal(err)
	}
	opens(s.load(t, m, dir), ofNewer, false)
}

// testRollback: an older image is refused where a newer one was seen.
func (s Suite) testRollback(t *testing.T) {
	dir := s.StateDir(t)
	m := calleeManifest()
	if err := s.load(t, m, dir).Close(); err != nil {
		t.Fatal(err)
	}
	m.SecurityVersion--
	_, err := host.LoadImage(t.Context(), Image(t, m, s.Callee, 1), host.Options{Backends: []tee.Backend{s.Backend}, StateDir: dir})
	if !errors.Is(err, host.ErrRollback) {
		t.Errorf("error: %v", err)
	}
}

// testRefusedImages: an image that nobody signed, or that was changed, is not
// launched.
func (s Suite) testRefusedImages(t *testing.T) {
	unsigned, err := imagefile.Build(Manifest(), s.Program)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := imagefile.Sign(unsigned, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	change := func(at int) []byte {
		b := bytes.Clone(signed)
		b[at] ^= 1
		return b
	}
	for name, tt := range map[string]struct {
		image []byte
		want  error
	}{
		"unsigned":          {unsigned, imagefile.ErrUnsigned},
		"program altered":   {change(len(signed) / 2), imagefile.ErrAltered},
		"signature altered": {change(len(signed) - 1), imagefile.ErrSignature},
		"cut short":         {signed[:len(signed)-1], imagefile.ErrFormat},
	} {
		file := filepath.Join(t.TempDir(), "x.sgi")
		if err := os.WriteFile(file, tt.image, 0o600); err != nil {
			t.Fatal(err)
		}
		e, err := host.Load(t.Context(), file, host.Options{Backends: []tee.Backend{s.Backend}, StateDir: s.StateDir(t)})
		if err == nil {
			e.Close()
		}
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// testRandom: the enclave has random numbers, each time others.
func (s Suite) testRandom(t *testing.T) {
	c := s.any(t)
	a, b := c.get("random 64"), c.get("random 64")
	if len(a) != 64 || a == b || strings.Count(a, a[:1]) == len(a) {
		t.Errorf("random numbers %x and %x", a, b)
	}
}

// testEvidenceNames: evidence says of which TEE it is, and of which nonce.
func (s Suite) testEvidenceNames(t *testing.T) {
	c := s.load(t, calleeManifest(), s.StateDir(t))
	const nonce = "a nonce of the verifier's, long enough to be found again"
	got := c.power("evidence " + nonce)
	if !strings.Contains(got, nonce) {
		t.Error("the nonce is not in the evidence")
	}
	if s.EvidencePrefix == "" || !strings.HasPrefix(got, s.EvidencePrefix) {
		t.Errorf("evidence begins %.20q, want %q", got, s.EvidencePrefix)
	}
	if _, err := c.try("evidence " + strings.Repeat("x", 65)); err == nil {
		t.Error("evidence over 65 bytes")
	}
}

// testCount: counters count across restarts.
func (s Suite) testCount(t *testing.T) {
	dir := s.StateDir(t)
	for _, want := range []string{"1", "2"} {
		c := s.load(t, calleeManifest(), dir)
		if got := c.power("count runs"); got != want {
			t.Errorf("counted %s, want %s", got, want)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// testLog: the enclave's log reaches the host's, cleaned.
func (s Suite) testLog(t *testing.T) {
	var out logged
	c := s.load(t, calleeManifest(), s.StateDir(t), func(o *host.Options) {
		o.Log = slog.New(slog.NewTextHandler(&out, nil))
	})
	c.get("log from\x1b inside")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`msg="callee is here" enclave=callee attrs.tee=` + s.Backend.Name(), `msg="from  inside" enclave=callee`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is missing in\n%s", want, out.String())
		}
	}
}

// logged is a strings.Builder for several goroutines.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// testKilled: calls in flight and later ones learn that the enclave was killed,
// and it can be loaded again.
func (s Suite) testKilled(t *testing.T) {
	if s.Kill == nil {
		t.Skip("the suite was given no way to kill an enclave")
	}
	dir := s.StateDir(t)
	c := s.load(t, calleeManifest(), dir)
	go func() {
		<-c.blocking
		if err := s.Kill(c.instance); err != nil {
			t.Error(err)
		}
	}()
	if _, err := c.do(t.Context(), 0, "block", shm.Buffer{}); !errors.Is(err, tee.ErrLost) {
		t.Errorf("the call in flight: %v", err)
	}
	<-c.Done()
	if _, err := c.try("echo a"); !errors.Is(err, tee.ErrLost) {
		t.Errorf("a later call: %v", err)
	}
	if err := c.Err(); err == nil {
		t.Error("no error tells of the end")
	}
	if got := s.load(t, calleeManifest(), dir).get("echo again"); got != "again" {
		t.Errorf("after a restart: %q", got)
	}
}

// testClosed: after Close, calls say so.
func (s Suite) testClosed(t *testing.T) {
	c := s.load(t, calleeManifest(), s.StateDir(t))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.try("echo a"); !errors.Is(err, tee.ErrClosed) {
		t.Errorf("a call after Close: %v", err)
	}
}
