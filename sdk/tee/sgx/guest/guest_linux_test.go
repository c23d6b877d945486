package guest

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/initramfs"
	"github.com/secgear/secgear/sdk/internal/mux"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/sgx/internal/wire"
)

var testID = tee.Identity{Digest: image.Digest{1}, Signer: image.SignerID{2}, Manifest: manifest()}

func manifest() image.Manifest {
	m := image.DefaultManifest("demo")
	m.SecurityVersion, m.LaneMemory, m.Lanes = 5, 1<<20, 2
	return m
}

// files are those of Gramine's that a test wants, by their names.
type files map[string]string

// gramine makes a root with what Gramine shows, changed.
func gramine(t *testing.T, name string, change files) string {
	t.Helper()
	id, err := initramfs.AppendIdentity(nil, name, testID)
	if err != nil {
		t.Fatal(err)
	}
	all := files{
		wire.IdentityFile: string(id), typeFile: "dcap\n", dataFile: "", quoteFile: "",
		imageKeyFile: "0123456789abcdef", signerKeyFile: "fedcba9876543210", wire.LanesDir + "/.keep": "",
	}
	root := t.TempDir()
	for f, content := range all {
		if c, ok := change[f]; ok {
			content = c
		}
		if content == "none" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(root+f), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+f, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// host is the other end, as hostile as a test wants.
type host struct {
	t        *testing.T
	root     string
	mux      *mux.Mux
	platform *mux.Stream
}

// startPair starts a platform and its host.
func startPair(t *testing.T, name string, change files) (tee.Platform, *host, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	h := &host{t: t, root: gramine(t, name, change), mux: mux.New(ours, 200, nil)}
	t.Cleanup(func() { h.mux.Close(); theirs.Close() })
	var err error
	if h.platform, err = h.mux.Open(wire.Platform); err == nil {
		_, err = h.mux.Open(wire.Control)
	}
	if err != nil {
		t.Fatal(err)
	}
	p, gone, err := start(name, h.root, theirs)
	if err == nil {
		t.Cleanup(func() { h.mux.Close(); <-gone })
		if kind, _, err := wire.Read(h.platform, make([]byte, wire.MaxMessage)); err != nil || kind != wire.KindReady {
			t.Fatalf("greeted with %d, %v", kind, err)
		}
	}
	return p, h, err
}

func (h *host) send(message []byte) {
	h.t.Helper()
	if _, err := h.platform.Write(message); err != nil {
		h.t.Fatal(err)
	}
}

// offer offers a lane, and returns the answer.
func (h *host) offer(l wire.Lane) error {
	h.t.Helper()
	h.send(wire.Append(nil, wire.KindLane, l.Encode()...))
	kind, body, err := wire.Read(h.platform, make([]byte, wire.MaxMessage))
	if err != nil || kind != wire.KindLaneReply {
		h.t.Fatalf("answer %d, %v", kind, err)
	}
	stream, result, err := wire.ParseLaneReply(body)
	if err != nil || stream != l.Stream {
		h.t.Fatalf("answer about %d, %v", stream, err)
	}
	return result
}

func (h *host) memory(name string, size int64) {
	h.t.Helper()
	f, err := os.Create(h.root + wire.LanesDir + "/" + name)
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		h.t.Fatal(err)
	}
}

func TestNotLaunched(t *testing.T) {
	if p, ok, err := Start(); p != nil || ok || err != nil {
		t.Errorf("%v, %v, %v", p, ok, err)
	}
}

func TestStart(t *testing.T) {
	p, _, err := startPair(t, wire.Name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.Name() != "sgx" || p.Identity().Digest != testID.Digest || p.Identity().Manifest.Name != "demo" {
		t.Errorf("%s, %+v", p.Name(), p.Identity())
	}
	if _, ok := p.(tee.Counters); ok {
		t.Error("there are counters")
	}
	direct, _, err := startPair(t, wire.DirectName, files{typeFile: "none"})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := direct.(tee.Attester); ok || direct.Name() != "gramine-direct" {
		t.Errorf("%s has evidence: %v", direct.Name(), ok)
	}
	if _, ok := direct.(tee.SealingKeys); ok {
		t.Error("there are sealing keys without SGX")
	}
}

func TestStartRefused(t *testing.T) {
	other, err := initramfs.AppendIdentity(nil, wire.DirectName, testID)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		tee    string
		change files
		want   string
	}{
		"another TEE":           {"vm", nil, "the manifest says"},
		"no SGX":                {wire.Name, files{typeFile: "none"}, "looking for SGX"},
		"without attestation":   {wire.Name, files{typeFile: "epid"}, `instead of "dcap"`},
		"long type":             {wire.Name, files{typeFile: strings.Repeat("x", 100)}, "more than 64 bytes"},
		"no identity":           {wire.Name, files{wire.IdentityFile: "none"}, "no such file"},
		"cut identity":          {wire.Name, files{wire.IdentityFile: "secgear guest 1\n"}, "malformed identity"},
		"identity for another":  {wire.Name, files{wire.IdentityFile: string(other)}, `one for "gramine-direct"`},
		"identity without ends": {wire.Name, files{wire.IdentityFile: strings.Repeat("x", initramfs.MaxIdentity+1)}, "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			p, _, err := startPair(t, tt.tee, tt.change)
			if p != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, %v; want %q", p, err, tt.want)
			}
		})
	}
}

func TestLanes(t *testing.T) {
	p, h, err := startPair(t, wire.Name, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		lane wire.Lane
		open bool // its bell
	}{
		"the platform's stream": {wire.Lane{Stream: wire.Platform, Size: 4096}, false},
		"no bell":               {wire.Lane{Stream: 10, Size: 4096}, false},
		"no memory":             {wire.Lane{Stream: 11, Size: 4096}, true},
		"no size":               {wire.Lane{Stream: 12, Size: 0}, true},
		"half a page":           {wire.Lane{Stream: 13, Size: 2048}, true},
		"too much":              {wire.Lane{Stream: 14, Size: 2 << 20}, true},
		"far too much":          {wire.Lane{Stream: 15, Size: 1 << 63}, true},
	} {
		if tt.open {
			if _, err := h.mux.Open(tt.lane.Stream); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.offer(tt.lane); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	const stream = 20
	h.memory("20", 8192)
	if _, err := h.mux.Open(stream); err != nil {
		t.Fatal(err)
	}
	if err := h.offer(wire.Lane{Stream: stream, Size: 8192}); err != nil {
		t.Fatal(err)
	}
	l, err := p.AcceptLane()
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Mem) != 8192 || l.Futex {
		t.Errorf("%d bytes, futex %v", len(l.Mem), l.Futex)
	}
	l.Mem[8191] = 7
	if b, err := os.ReadFile(h.root + wire.LanesDir + "/20"); err != nil || b[8191] != 7 {
		t.Errorf("it is not the host's memory: %v", err)
	}
	l.Bell.Close()
	l.Release()
	l.Release()
}

// TestBrokenRules: a host that does not keep to them is as one that is gone.
func TestBrokenRules(t *testing.T) {
	for name, message := range map[string][]byte{
		"unknown":       wire.Append(nil, 99),
		"the enclave's": wire.Append(nil, wire.KindReady),
		"cut lane":      wire.Append(nil, wire.KindLane, 1, 2),
		"too long":      {0xff, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			p, h, err := startPair(t, wire.Name, nil)
			if err != nil {
				t.Fatal(err)
			}
			h.send(message)
			if _, err := p.AcceptLane(); !errors.Is(err, tee.ErrLost) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestSealingKeys(t *testing.T) {
	derive := func(id tee.Identity, change files, policy tee.Policy, version uint32, salt byte) ([32]byte, error) {
		return attestation{gramine(t, wire.Name, change), id}.SealingKey(policy, version, [32]byte{salt})
	}
	renamed, newer := testID, testID
	renamed.Manifest.Name, newer.Manifest.SecurityVersion = "other", 6
	signed := testID
	signed.Signer = image.SignerID{9}
	seen := map[[32]byte]string{}
	for name, get := range map[string]func() ([32]byte, error){
		"image":           func() ([32]byte, error) { return derive(testID, nil, tee.PolicyImage, 5, 1) },
		"image, version":  func() ([32]byte, error) { return derive(testID, nil, tee.PolicyImage, 4, 1) },
		"image, salt":     func() ([32]byte, error) { return derive(testID, nil, tee.PolicyImage, 5, 2) },
		"signer":          func() ([32]byte, error) { return derive(testID, nil, tee.PolicySigner, 5, 1) },
		"another name":    func() ([32]byte, error) { return derive(renamed, nil, tee.PolicySigner, 5, 1) },
		"another signer":  func() ([32]byte, error) { return derive(signed, nil, tee.PolicySigner, 5, 1) },
		"another version": func() ([32]byte, error) { return derive(newer, nil, tee.PolicySigner, 6, 1) },
		"another machine": func() ([32]byte, error) {
			return derive(testID, files{imageKeyFile: "fffffffffffffffe"}, tee.PolicyImage, 5, 1)
		},
	} {
		k, err := get()
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[k]; ok {
			t.Errorf("%s has the key of %s", name, other)
		}
		if again, err := get(); err != nil || again != k {
			t.Errorf("%s: another key the second time: %v", name, err)
		}
		seen[k] = name
	}
	for name, tt := range map[string]struct {
		change      files
		policy      tee.Policy
		version     uint32
		unsupported bool
	}{
		"older":       {nil, tee.PolicySigner, 4, true},
		"newer":       {nil, tee.PolicySigner, 6, false},
		"no policy":   {nil, 0, 5, true},
		"no key":      {files{signerKeyFile: "none"}, tee.PolicySigner, 5, false},
		"a short key": {files{signerKeyFile: "short"}, tee.PolicySigner, 5, false},
		"a long key":  {files{signerKeyFile: strings.Repeat("x", 17)}, tee.PolicySigner, 5, false},
	} {
		if k, err := derive(testID, tt.change, tt.policy, tt.version, 1); err == nil || errors.Is(err, errors.ErrUnsupported) != tt.unsupported || k != [32]byte{} {
			t.Errorf("%s: %x, %v", name, k, err)
		}
	}
}

// quoteOver has the form of a quote over data.
func quoteOver(data byte) string {
	q := make([]byte, 48+384)
	q[0], q[48+320] = 3, data
	return string(q)
}

func TestEvidence(t *testing.T) {
	root := gramine(t, wire.Name, files{quoteFile: quoteOver(7)})
	a := attestation{root, testID}
	if b, err := a.Evidence([64]byte{7}); err != nil || string(b) != quoteOver(7) {
		t.Errorf("%x, %v", b, err)
	}
	if asked, err := os.ReadFile(root + dataFile); err != nil || len(asked) != 64 || asked[0] != 7 {
		t.Errorf("asked for %x, %v", asked, err)
	}
	if _, err := a.Evidence([64]byte{8}); err == nil || !strings.Contains(err.Error(), "other data") {
		t.Errorf("another's quote: %v", err)
	}
	for name, change := range map[string]files{
		"no quote":    {quoteFile: "none"},
		"empty":       {quoteFile: ""},
		"no quote at": {quoteFile: strings.Repeat("x", 500)},
		"endless":     {quoteFile: strings.Repeat("x", 65<<10)},
		"no question": {dataFile: "none"},
	} {
		if _, err := (attestation{gramine(t, wire.Name, change), testID}).Evidence([64]byte{7}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
