package cvm

import (
	"bytes"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/configfs/faketsm"
	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/machine"
	"github.com/secgear/secgear/sdk/internal/tpm/tpmtest"
	"github.com/secgear/secgear/sdk/measured"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/teetest"
)

// fakeRTMR is a register of TDX.
type fakeRTMR struct {
	mu    sync.Mutex
	value []byte
}

func (r *fakeRTMR) Read() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.value), nil
}

func (r *fakeRTMR) Extend(digest []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.value = measured.SHA384.Extend(r.value, digest)
	return nil
}

// newRandom makes names for the fake's entries.
type newRandom struct{ n byte }

func (r *newRandom) Read(b []byte) (int, error) {
	for i := range b {
		r.n++
		b[i] = r.n
	}
	return len(b), nil
}

// emulate returns a backend for a machine with what is given, and its register.
func emulate(t testing.TB, withTPM, withTSM, withRTMR bool) (Backend, *fakeRTMR) {
	t.Helper()
	logDir, socket := t.TempDir(), filepath.Join(t.TempDir(), "none")
	if withTPM {
		socket = tpmtest.Start(t).Socket
	}
	reports := faketsm.ReportV7(0)
	reports.Random = &newRandom{}
	register := &fakeRTMR{value: make([]byte, 48)}
	return Backend{&parts{
		tpm:    func(string) string { return socket },
		logDir: func(string) string { return logDir },
		tsm: func() (configfsi.Client, error) {
			if !withTSM {
				return nil, errors.New("none in this test")
			}
			return &faketsm.Client{Subsystems: map[string]configfsi.Client{"report": reports}}, nil
		},
		rtmr: func() (machine.Register, error) {
			if !withRTMR {
				return nil, errors.New("none in this test")
			}
			return register, nil
		},
	}}, register
}

func program(t testing.TB) []byte { return teetest.Build(t, "testdata/testenclave") }

func kill(i tee.Instance) error {
	return unix.Kill(i.(interface{ Pid() int }).Pid(), unix.SIGKILL)
}

// TestConformance runs the suite on an emulated TPM and a fake of the kernel's
// reports.
func TestConformance(t *testing.T) {
	t.Run(runtime.GOARCH+"-swtpm", func(t *testing.T) {
		b, _ := emulate(t, true, true, true)
		teetest.Suite{
			Backend: b, Program: program(t), Callee: teetest.BuildCallee(t, runtime.GOARCH),
			EvidencePrefix: measured.Magic, Kill: kill,
		}.Run(t)
	})
}

// TestReal: on a real confidential VM the suite runs on it.
func TestReal(t *testing.T) {
	if s := (Backend{}).Probe(); !s.Available {
		t.Skipf("this machine is none: %+v", s.Missing)
	}
	teetest.Suite{Backend: Backend{}, Program: program(t), EvidencePrefix: measured.Magic, Kill: kill}.Run(t)
}

// evidence launches an image and returns its evidence over data.
func evidence(t *testing.T, b Backend, m image.Manifest, data string) (*measured.Evidence, *teetest.Enclave) {
	t.Helper()
	e := teetest.Launch(t, b, teetest.Image(t, m, program(t), 1), t.TempDir())
	raw, err := hex.DecodeString(e.Control.Get("evidence", data))
	if err != nil {
		t.Fatal(err)
	}
	ev, err := measured.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return ev, e
}

func TestEvidence(t *testing.T) {
	b, register := emulate(t, true, true, true)
	ev, _ := evidence(t, b, teetest.Manifest(), "nonce")
	if ev.TEE != Name || !ev.Emulated {
		t.Errorf("of TEE %q, emulated: %v", ev.TEE, ev.Emulated)
	}
	event, err := measured.ParseEvent(ev.Event)
	if err != nil || event.Name != "test" || event.SecurityVersion != 5 || event.Debug || event.Digest.IsZero() {
		t.Errorf("the event is %+v, %v", event, err)
	}
	if !strings.HasPrefix(string(ev.Data[:]), "nonce") {
		t.Errorf("over %q", ev.Data)
	}
	quoted, err := ev.Check()
	if err != nil {
		t.Fatal(err)
	}
	if v := quoted.PCRs[measured.PCR]; v == [32]byte{} {
		t.Error("nothing was measured into the TPM")
	}
	want := ev.ReportData()
	if ev.Report.Provider != "fake" || !strings.Contains(string(ev.Report.Out), hex.EncodeToString(want[:])) {
		t.Errorf("the report is not over the event, the data and the TPM: %+v", ev.Report)
	}
	replayed, err := ev.Log.Replay(measured.RegisterTDX, measured.SHA384)
	if err != nil || !bytes.Equal(replayed, register.value) {
		t.Errorf("RTMR: the log leads to %x, %v; it is %x", replayed, err, register.value)
	}

	// The same again is no other measurement; another image is one more.
	again, _ := evidence(t, b, teetest.Manifest(), "nonce")
	other := teetest.Manifest()
	other.SecurityVersion++
	third, _ := evidence(t, b, other, "nonce")
	if n, m := len(again.Log.Events), len(third.Log.Events); n != 1 || m != 2 {
		t.Errorf("events: %d, then %d", n, m)
	}
	if _, err := third.Check(); err != nil {
		t.Error(err)
	}
	if bytes.Equal(again.Event, third.Event) {
		t.Error("two images have one event")
	}
}

// TestWithoutTPM: TDX's register and report are enough to measure; sealing and
// counters are said to be missing.
func TestWithoutTPM(t *testing.T) {
	b, _ := emulate(t, false, true, true)
	ev, e := evidence(t, b, teetest.Manifest(), "nonce")
	if ev.Quote != nil || ev.Report == nil {
		t.Error("a quote of no TPM, or no report")
	}
	if _, err := ev.Check(); err != nil {
		t.Error(err)
	}
	for _, command := range []string{"sealingkey 1 5 salt", "counter a", "increment a"} {
		if r, err := e.Control.Try(command); err != nil || !r.Unsupported {
			t.Errorf("%s: %+v, %v", command, r, err)
		}
	}
}

// TestAzure: where the TPM is inside the confidential VM, it alone is enough; it
// signs with the key that the hardware's report is about.
func TestAzure(t *testing.T) {
	b, _ := emulate(t, true, false, false)
	if b.Probe().Available {
		t.Fatal("available without a report")
	}
	emulator := tpmtest.Start(t)
	emulator.Azure()
	b.emulated.tpm = func(string) string { return emulator.Socket }
	if s := b.Probe(); !s.Available {
		t.Fatalf("%+v", s)
	}
	ev, e := evidence(t, b, teetest.Manifest(), "nonce")
	quoted, err := ev.Check()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := quoted.Key.(*rsa.PublicKey); !ok || len(ev.Quote.Platform) == 0 || ev.Report != nil {
		t.Errorf("signed with a %T, platform's report of %d bytes", quoted.Key, len(ev.Quote.Platform))
	}
	inside := false
	for _, p := range e.Protections() {
		inside = inside || p.Name == machine.TPMInside && p.Active
	}
	if !inside {
		t.Errorf("the TPM is not said to be inside: %+v", e.Protections())
	}
	if e.Control.Get("sealingkey", 2, 5, "salt") == "" {
		t.Error("no sealing key")
	}
}

// TestForeignMeasurement: if somebody else measured something into the register,
// nothing is launched, and nothing attested.
func TestForeignMeasurement(t *testing.T) {
	b, register := emulate(t, false, true, true)
	_, e := evidence(t, b, teetest.Manifest(), "nonce")
	if err := register.Extend(make([]byte, 48)); err != nil {
		t.Fatal(err)
	}
	e.Control.Refused("evidence", "nonce")
	other := teetest.Manifest()
	other.Name = "other"
	_, err := b.Launch(t.Context(), teetest.Image(t, other, program(t), 1), teetest.Config(t.TempDir()))
	if err == nil || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("launched: %v", err)
	}
}

func TestProbe(t *testing.T) {
	for name, tt := range map[string]struct {
		tpm, tsm, rtmr bool
		available      bool
		missing        string
	}{
		"everything": {true, true, true, true, machine.TPMInside},
		"TDX":        {false, true, true, true, "none"},
		"SNP":        {false, true, false, false, rtmrFile},
		"with a TPM": {true, true, false, true, machine.TPMInside},
		"plain host": {true, false, false, false, "/sys/kernel/config/tsm/report"},
		"nothing":    {false, false, false, false, "/sys/kernel/config/tsm/report"},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := emulate(t, tt.tpm, tt.tsm, tt.rtmr)
			s := b.Probe()
			found := false
			for _, m := range s.Missing {
				found = found || strings.HasSuffix(m.What, tt.missing)
				if m.What == "" || m.Why == "" {
					t.Errorf("incomplete: %+v", m)
				}
			}
			if s.Available != tt.available || !found {
				t.Errorf("%+v", s)
			}
			if !tt.available {
				_, err := b.Launch(t.Context(), teetest.Image(t, teetest.Manifest(), program(t), 1), teetest.Config(t.TempDir()))
				if err == nil {
					t.Error("launched")
				}
			}
		})
	}
}

// TestProtections: what is stronger than the simulation, and what is not, is
// said.
func TestProtections(t *testing.T) {
	b, _ := emulate(t, true, true, true)
	_, e := evidence(t, b, teetest.Manifest(), "nonce")
	active := map[string]bool{}
	for _, p := range e.Protections() {
		active[p.Name] = p.Active
		if p.Active != (p.Reason == "") {
			t.Errorf("%+v", p)
		}
	}
	for name, want := range map[string]bool{
		"measured start: PCR 13, RTMR 3": true, machine.ProtectedMemory: true, machine.TPMInside: false, "seccomp": true,
	} {
		if got, ok := active[name]; got != want || !ok {
			t.Errorf("%s: active %v, listed %v", name, got, ok)
		}
	}
}

// TestLogGone: without its log the register's past is a base that a verifier
// does not know, never nothing.
func TestLogGone(t *testing.T) {
	b, _ := emulate(t, true, true, false)
	evidence(t, b, teetest.Manifest(), "nonce")
	if err := os.Remove(filepath.Join(b.emulated.logDir(""), "images.log")); err != nil {
		t.Fatal(err)
	}
	ev, _ := evidence(t, b, teetest.Manifest(), "nonce")
	if _, err := ev.Check(); err != nil {
		t.Error(err)
	}
	if base := ev.Log.Bases[0].Value; bytes.Equal(base, make([]byte, len(base))) {
		t.Error("the base is that of a register that was never used")
	}
}
