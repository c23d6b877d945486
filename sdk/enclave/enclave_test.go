package enclave

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/control"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
)

// bare is a platform without any optional power.
type bare struct {
	id      tee.Identity
	control net.Conn
	lanes   chan *tee.Lane
	end     chan struct{}
}

func (p *bare) Name() string           { return "bare" }
func (p *bare) Identity() tee.Identity { return p.id }
func (p *bare) Control() net.Conn      { return p.control }
func (p *bare) Cooperative() bool      { return true }

func (p *bare) AcceptLane() (*tee.Lane, error) {
	select {
	case l := <-p.lanes:
		return l, nil
	case <-p.end:
		return nil, io.EOF
	}
}

// full has powers too.
type full struct {
	bare
	mu      sync.Mutex
	counter map[string]uint64
}

func (p *full) SealingKey(policy tee.Policy, version uint32, salt [32]byte) ([32]byte, error) {
	who := p.id.Digest[:]
	if policy == tee.PolicySigner {
		who = append(p.id.Signer[:], p.id.Manifest.Name...)
	}
	return sha256.Sum256(append(append([]byte{byte(policy), byte(version)}, salt[:]...), who...)), nil
}

func (p *full) Evidence(data [64]byte) ([]byte, error) { return data[:], nil }

func (p *full) Counter(id string) (uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counter[id], nil
}

func (p *full) Increment(id string) (uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counter[id]++
	return p.counter[id], nil
}

func (p *full) Secret(n int) ([]byte, func(), error) { return make([]byte, n), func() {}, nil }

// newBare returns a platform and the host's end of its control stream.
func newBare(t *testing.T, version uint32) (*bare, net.Conn) {
	host, guest := net.Pipe()
	m := image.DefaultManifest("demo")
	m.SecurityVersion, m.Lanes, m.LaneMemory = version, 2, 1<<20
	p := &bare{
		id:      tee.Identity{Digest: image.Digest{byte(version)}, Signer: image.SignerID{9}, Manifest: m},
		control: guest,
		lanes:   make(chan *tee.Lane),
		end:     make(chan struct{}),
	}
	t.Cleanup(func() { host.Close(); close(p.end) })
	return p, host
}

// inside returns an enclave that serves nothing, to call its methods.
func inside(t *testing.T, p tee.Platform) *Enclave {
	return &Enclave{platform: p, id: p.Identity()}
}

func newFull(t *testing.T, version uint32) *full {
	p, _ := newBare(t, version)
	return &full{bare: *p, counter: make(map[string]uint64)}
}

// start runs an enclave and returns the result of Run.
func start(p tee.Platform, setup func(*Enclave) error) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- Run(p, setup) }()
	return ended
}

func nothing(*Enclave) error { return nil }

func hear(t *testing.T, host net.Conn) control.Message {
	t.Helper()
	m, err := control.Read(host)
	if err != nil {
		t.Errorf("listening to the enclave: %v", err)
	}
	return m
}

func say(t *testing.T, host net.Conn, m control.Message) {
	t.Helper()
	if err := control.Write(host, m); err != nil {
		t.Errorf("talking to the enclave: %v", err)
	}
}

var hello = &control.Hello{Version: control.Version}

func TestLife(t *testing.T) {
	p, host := newBare(t, 1)
	var e *Enclave
	ended := start(p, func(inner *Enclave) error { e = inner; return nil })
	say(t, host, hello)
	if m, ok := hear(t, host).(*control.Ready); !ok || m.Version != control.Version || len(m.Contracts) != 0 {
		t.Errorf("heard %+v", m)
	}
	if e.Context().Err() != nil {
		t.Error("context ended too early")
	}
	say(t, host, &control.Shutdown{})
	if m, ok := hear(t, host).(*control.Stopped); !ok {
		t.Errorf("heard %+v", m)
	}
	if e.Context().Err() == nil {
		t.Error("context outlives shutdown")
	}
	host.Close()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

// TestHostileHost lists what the host can do wrong; the enclave ends with a
// reason and hangs nowhere.
func TestHostileHost(t *testing.T) {
	tests := []struct {
		name string
		host func(*testing.T, net.Conn)
		want error
	}{
		{"says nothing", func(t *testing.T, c net.Conn) {}, tee.ErrLost},
		{"garbage", func(t *testing.T, c net.Conn) { c.Write(bytes.Repeat([]byte{0xff}, 5)) }, control.ErrProtocol},
		{"does not greet", func(t *testing.T, c net.Conn) { say(t, c, &control.Shutdown{}) }, control.ErrProtocol},
		{"other version", func(t *testing.T, c net.Conn) {
			say(t, c, &control.Hello{Version: control.Version + 1})
			if m, ok := hear(t, c).(*control.Failed); !ok || !strings.Contains(m.Text, "version 3") {
				t.Errorf("heard %+v", m)
			}
		}, errTold},
		{"other version, deaf", func(t *testing.T, c net.Conn) { say(t, c, &control.Hello{Version: control.Version + 1}) }, io.ErrClosedPipe},
		{"greets and goes", func(t *testing.T, c net.Conn) { say(t, c, hello) }, tee.ErrLost},
		{"goes when ready", func(t *testing.T, c net.Conn) { say(t, c, hello); hear(t, c) }, tee.ErrLost},
		{"greets twice", func(t *testing.T, c net.Conn) { say(t, c, hello); hear(t, c); say(t, c, hello) }, control.ErrProtocol},
		{"asks twice", func(t *testing.T, c net.Conn) {
			say(t, c, hello)
			hear(t, c)
			say(t, c, &control.Shutdown{})
			hear(t, c)
			say(t, c, &control.Shutdown{})
		}, control.ErrProtocol},
		{"asks and goes", func(t *testing.T, c net.Conn) { say(t, c, hello); hear(t, c); say(t, c, &control.Shutdown{}) }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, host := newBare(t, 1)
			ended := start(p, nothing)
			tt.host(t, host)
			host.Close()
			if err := <-ended; !errors.Is(err, tt.want) {
				t.Errorf("ended with %v, want %v", err, tt.want)
			}
		})
	}
}

// TestHostGoneInSetup: setup that waits for the host's answer does not keep the
// enclave alive.
func TestHostGoneInSetup(t *testing.T) {
	p, host := newBare(t, 1)
	laneErr := make(chan error, 1)
	ended := start(p, func(e *Enclave) error {
		host.Close()
		_, err := e.Lane(context.Background(), nil) // there never is one
		laneErr <- err
		return err
	})
	say(t, host, hello)
	if err := <-ended; !errors.Is(err, tee.ErrLost) {
		t.Errorf("ended with %v", err)
	}
	if err := <-laneErr; !errors.Is(err, tee.ErrLost) {
		t.Errorf("lane: %v", err)
	}
}

func TestLaneWaitsForContext(t *testing.T) {
	p, host := newBare(t, 1)
	ended := start(p, func(e *Enclave) error {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := e.NewBuffer(ctx, 1)
		return err
	})
	say(t, host, hello)
	if m, ok := hear(t, host).(*control.Failed); !ok || !strings.Contains(m.Text, context.Canceled.Error()) {
		t.Errorf("heard %+v", m)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

// TestLaneBounds: no more lanes, and no larger ones, than the manifest allows;
// the room of a lane that ended is free again.
func TestLaneBounds(t *testing.T) {
	p, host := newBare(t, 1)
	ended := start(p, nothing)
	say(t, host, &control.Hello{Version: control.Version, Level: 4})
	hear(t, host)
	refused := func(why string) {
		t.Helper()
		m, ok := hear(t, host).(*control.Log)
		if !ok || m.Message != "lane refused" || len(m.Attrs) != 1 || !strings.Contains(m.Attrs[0].Value, why) {
			t.Errorf("heard %+v, want a refusal because of %q", m, why)
		}
	}
	offer := func(size int) *tee.Lane {
		mine, theirs := shm.Pipe(size)
		p.lanes <- theirs
		return mine
	}
	offer(1<<20 + 4096)
	refused("lane_memory")
	first, second := offer(1<<20), offer(1<<20)
	third := offer(1 << 20)
	refused("2 lanes already")
	if _, err := third.Bell.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("refused lane: %v, want EOF", err)
	}
	first.Bell.Close()
	// The room is free some time after that: offer until it was taken.
	taken := make(chan struct{})
	go func() {
		for {
			if _, err := offer(1 << 20).Bell.Write([]byte{0}); err == nil {
				close(taken)
				return
			}
		}
	}()
	go io.Copy(io.Discard, host)
	<-taken
	second.Bell.Close()
	host.Close()
	if err := <-ended; !errors.Is(err, tee.ErrLost) {
		t.Errorf("ended with %v", err)
	}
}

// TestHelloIsBounded: what the host wishes can't exceed the manifest.
func TestHelloIsBounded(t *testing.T) {
	tests := []struct {
		hello   control.Hello
		workers int
		spin    int64
	}{
		{control.Hello{}, 64, 0},
		{control.Hello{Workers: 3, Spin: 5}, 3, 5},
		{control.Hello{Workers: 1 << 31, Spin: 1 << 62}, 64, int64(maxSpin)},
		{control.Hello{Spin: -1 << 63}, 64, -1},
	}
	for _, tt := range tests {
		p, _ := newBare(t, 1)
		e := newEnclave(p, &tt.hello)
		if e.workers != tt.workers || int64(e.spin) != tt.spin {
			t.Errorf("%+v: %d workers, spin %d", tt.hello, e.workers, e.spin)
		}
		e.end()
	}
}

// TestDeafHost: an enclave that logs is not held up by a host that doesn't read,
// and tells later how much was dropped.
func TestDeafHost(t *testing.T) {
	p, host := newBare(t, 1)
	logged := make(chan struct{})
	ended := start(p, func(e *Enclave) error {
		for range 10_000 {
			e.Log().Error("flood")
		}
		close(logged)
		return nil
	})
	say(t, host, hello)
	<-logged
	records, note := 0, ""
	for {
		m, ok := hear(t, host).(*control.Log)
		if !ok {
			break
		}
		if m.Message == "flood" {
			records++
		} else if len(m.Attrs) == 1 {
			note = m.Attrs[0].Value
		}
	}
	if records < outboxSize || records > 2*outboxSize {
		t.Errorf("%d records kept", records)
	}
	if note == "" {
		t.Error("nothing tells that records were dropped")
	}
	host.Close()
	<-ended
}

func TestPowersMissing(t *testing.T) {
	p, _ := newBare(t, 1)
	e := inside(t, p)
	_, errSeal := e.Seal(tee.PolicyImage, nil, nil)
	sealed := append([]byte(sealMagic), make([]byte, SealOverhead-8)...)
	sealed[8], sealed[12] = 1, 1
	_, errUnseal := e.Unseal(sealed, nil)
	_, errEvidence := e.Evidence(nil)
	_, errCounter := e.Counter("x")
	_, errIncrement := e.Increment("x")
	_, _, errSecret := e.SecretMemory(1)
	for what, err := range map[string]error{
		"sealing keys": errSeal, "unsealing: TEE bare has no sealing keys": errUnseal, "evidence": errEvidence,
		"reading counter": errCounter, "monotonic counters": errIncrement, "secret memory": errSecret,
	} {
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "bare") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestPowers(t *testing.T) {
	e := inside(t, newFull(t, 3))
	if ev, err := e.Evidence([]byte("nonce")); err != nil || len(ev) != 64 || !bytes.HasPrefix(ev, []byte("nonce\x00")) {
		t.Errorf("evidence %x, %v", ev, err)
	}
	if _, err := e.Evidence(make([]byte, 65)); err == nil {
		t.Error("evidence over 65 bytes")
	}
	for want := range uint64(3) {
		if v, err := e.Counter("a"); err != nil || v != want {
			t.Errorf("counter %d, %v; want %d", v, err, want)
		}
		if v, err := e.Increment("a"); err != nil || v != want+1 {
			t.Errorf("incremented to %d, %v", v, err)
		}
	}
	mem, free, err := e.SecretMemory(10)
	if err != nil || len(mem) != 10 {
		t.Fatalf("secret memory: %d bytes, %v", len(mem), err)
	}
	free()
	var random [32]byte
	if _, err := io.ReadFull(e.Random(), random[:]); err != nil || random == [32]byte{} {
		t.Errorf("random: %x, %v", random, err)
	}
	if e.HostTime().Unverified().IsZero() {
		t.Error("no host time")
	}
	if e.TEE() != "bare" || e.Manifest().SecurityVersion != 3 || e.Identity().Signer[0] != 9 {
		t.Errorf("identity %v %+v", e.TEE(), e.Identity())
	}
}

func TestSeal(t *testing.T) {
	e := inside(t, newFull(t, 3))
	for _, policy := range []tee.Policy{tee.PolicyImage, tee.PolicySigner} {
		for _, plain := range []string{"", "x", strings.Repeat("long ", 1000)} {
			a, err := e.Seal(policy, []byte(plain), []byte("ad"))
			if err != nil {
				t.Fatal(err)
			}
			if len(a) != len(plain)+SealOverhead {
				t.Errorf("%d bytes sealed to %d", len(plain), len(a))
			}
			if b, err := e.Seal(policy, []byte(plain), []byte("ad")); err != nil || bytes.Equal(a[16:], b[16:]) {
				t.Errorf("sealed twice alike, %v", err)
			}
			if got, err := e.Unseal(a, []byte("ad")); err != nil || string(got) != plain {
				t.Errorf("unsealed %q, %v", got, err)
			}
			for _, ad := range [][]byte{nil, []byte("a"), []byte("ad ")} {
				if _, err := e.Unseal(a, ad); !errors.Is(err, ErrSealed) {
					t.Errorf("with associated data %q: %v", ad, err)
				}
			}
		}
	}
}

// TestSealAltered flips every bit and cuts at every length.
func TestSealAltered(t *testing.T) {
	e := inside(t, newFull(t, 3))
	sealed, err := e.Seal(tee.PolicySigner, []byte("secret"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(sealed) {
		altered := bytes.Clone(sealed)
		altered[bit/8] ^= 1 << (bit % 8)
		if _, err := e.Unseal(altered, nil); !errors.Is(err, ErrSealed) {
			t.Errorf("bit %d flipped: %v", bit, err)
		}
	}
	for n := range sealed {
		if _, err := e.Unseal(sealed[:n], nil); !errors.Is(err, ErrSealed) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := e.Unseal(append(sealed, 0), nil); !errors.Is(err, ErrSealed) {
		t.Errorf("a byte appended: %v", err)
	}
}

// TestSealVersions: who can open what.
func TestSealVersions(t *testing.T) {
	old, own, next := inside(t, newFull(t, 2)), inside(t, newFull(t, 3)), inside(t, newFull(t, 4))
	stranger := newFull(t, 3)
	stranger.id.Signer = image.SignerID{8}
	stranger.id.Digest = image.Digest{77}
	tests := []struct {
		name    string
		policy  tee.Policy
		version uint32
		opener  *Enclave
		ok      bool
	}{
		{"image, itself", tee.PolicyImage, 3, own, true},
		{"image, next", tee.PolicyImage, 3, next, false},
		{"image, old", tee.PolicyImage, 3, old, false},
		{"signer, itself", tee.PolicySigner, 3, own, true},
		{"signer, next", tee.PolicySigner, 3, next, true},
		{"signer, old", tee.PolicySigner, 3, old, false},
		{"signer, old allowed", tee.PolicySigner, 2, old, true},
		{"signer, stranger", tee.PolicySigner, 3, inside(t, stranger), false},
		{"image, stranger", tee.PolicyImage, 3, inside(t, stranger), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sealed, err := own.SealVersion(tt.policy, tt.version, []byte("secret"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if v := binary.LittleEndian.Uint32(sealed[12:]); v != tt.version {
				t.Errorf("sealed for version %d", v)
			}
			got, err := tt.opener.Unseal(sealed, nil)
			if tt.ok && (err != nil || string(got) != "secret") || !tt.ok && !errors.Is(err, ErrSealed) {
				t.Errorf("opened %q, %v", got, err)
			}
		})
	}
	for _, bad := range []struct {
		policy  tee.Policy
		version uint32
	}{{tee.PolicySigner, 4}, {tee.PolicyImage, 2}, {tee.PolicyImage, 4}, {0, 3}, {3, 3}} {
		if _, err := own.SealVersion(bad.policy, bad.version, nil, nil); err == nil {
			t.Errorf("sealed for %+v", bad)
		}
	}
}

func FuzzUnseal(f *testing.F) {
	p := &full{}
	p.id.Manifest.SecurityVersion = 3
	e := &Enclave{platform: p, id: p.id}
	for _, policy := range []tee.Policy{tee.PolicyImage, tee.PolicySigner} {
		sealed, err := e.Seal(policy, []byte("secret"), nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(sealed, []byte(nil))
		f.Add(sealed[:SealOverhead], []byte("ad"))
	}
	f.Add([]byte(sealMagic), []byte(nil))
	f.Fuzz(func(t *testing.T, sealed, ad []byte) {
		plain, err := e.Unseal(sealed, ad)
		if err != nil && (!errors.Is(err, ErrSealed) || plain != nil) {
			t.Fatalf("%q, %v", plain, err)
		}
		if err == nil && len(plain) != len(sealed)-SealOverhead {
			t.Fatal("wrong length")
		}
	})
}
