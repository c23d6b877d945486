package tpm

import (
	"encoding/hex"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/internal/machine"
	"github.com/secgear/secgear/sdk/internal/tpm/tpmtest"
	"github.com/secgear/secgear/sdk/measured"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/teetest"
)

// emulate returns a backend for an emulated TPM.
func emulate(t testing.TB) (Backend, *tpmtest.Emulator) {
	t.Helper()
	e, logDir := tpmtest.Start(t), t.TempDir()
	return Backend{func(string) (string, string) { return e.Socket, logDir }}, e
}

func program(t testing.TB) []byte { return teetest.Build(t, "testdata/testenclave") }

func kill(i tee.Instance) error {
	return unix.Kill(i.(interface{ Pid() int }).Pid(), unix.SIGKILL)
}

func TestConformance(t *testing.T) {
	t.Run(runtime.GOARCH+"-swtpm", func(t *testing.T) {
		b, _ := emulate(t)
		teetest.Suite{
			Backend: b, Program: program(t), Callee: teetest.BuildCallee(t, runtime.GOARCH),
			EvidencePrefix: measured.Magic, Kill: kill,
		}.Run(t)
	})
}

// TestReal: on a machine that was set up for it the suite runs on its TPM.
func TestReal(t *testing.T) {
	if s := (Backend{}).Probe(); !s.Available {
		t.Skipf("this machine is not set up for it: %+v", s.Missing)
	}
	teetest.Suite{Backend: Backend{}, Program: program(t), EvidencePrefix: measured.Magic, Kill: kill}.Run(t)
}

// TestNoMoreThanItIs: the backend says what it does not protect, and its evidence
// whose it is.
func TestNoMoreThanItIs(t *testing.T) {
	b, _ := emulate(t)
	s := b.Probe()
	if !s.Available || s.Missing[0].What != machine.ProtectedMemory {
		t.Errorf("%+v", s)
	}
	e := teetest.Launch(t, b, teetest.Image(t, teetest.Manifest(), program(t), 1), t.TempDir())
	for _, p := range e.Protections() {
		if p.Name == machine.ProtectedMemory && (p.Active || p.Reason == "") {
			t.Errorf("%+v", p)
		}
	}
	raw, err := hex.DecodeString(e.Control.Get("evidence", "nonce"))
	if err != nil {
		t.Fatal(err)
	}
	ev, err := measured.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ev.Check(); err != nil || ev.TEE != Name || !ev.Emulated || ev.Report != nil {
		t.Errorf("TEE %q, emulated %v, report %v, %v", ev.TEE, ev.Emulated, ev.Report != nil, err)
	}
}

// TestAfterRestart: after the machine's restart sealing keys are the same, and
// not if it starts another system.
func TestAfterRestart(t *testing.T) {
	b, emulator := emulate(t)
	state := t.TempDir()
	img := teetest.Image(t, teetest.Manifest(), program(t), 1)
	key := func() string {
		e := teetest.Launch(t, b, img, state)
		defer e.Close()
		return e.Control.Get("sealingkey", 1, 5, "salt")
	}
	first := key()
	restart := func() {
		emulator.Reset()
		logDir := t.TempDir() // it is in memory
		b.emulated = func(string) (string, string) { return emulator.Socket, logDir }
	}
	restart()
	if key() != first {
		t.Error("after a restart the key is another")
	}
	restart()
	if err := b.machine(state).TPM.Extend(4, []byte("another boot loader")); err != nil {
		t.Fatal(err)
	}
	e := teetest.Launch(t, b, img, state)
	e.Control.Refused("sealingkey", 1, 5, "salt")
	e.Control.Refused("counter", "a")
}

// TestProbeWithout: without a TPM, or without the folder that an administrator
// makes, the backend is not there, and says what to do.
func TestProbeWithout(t *testing.T) {
	b := Backend{func(string) (string, string) { return "/nonexistent/tpm", "/nonexistent/log" }}
	s := b.Probe()
	if s.Available || len(s.Missing) != 2 {
		t.Fatalf("%+v", s)
	}
	for _, m := range s.Missing {
		if m.What == "" || m.Why == "" || m.Fix == "" {
			t.Errorf("incomplete: %+v", m)
		}
	}
}
