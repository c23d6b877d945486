package nitro

import (
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/nitro/document"
	"github.com/secgear/secgear/sdk/tee/nitro/eif"
	"github.com/secgear/secgear/sdk/tee/teetest"
)

// skipWithout skips where enclaves can't be launched, and says what is missing.
func skipWithout(t testing.TB) {
	t.Helper()
	if !Hardware() && os.Getenv("SECGEAR_TEST_TEES") == "" {
		t.Skip("the emulation takes minutes: make test-nitro runs it")
	}
	if s := (Backend{}).Probe(); !s.Available {
		t.Skipf("Nitro Enclaves can't run here: %+v", s.Missing)
	}
}

// launchTest launches the test enclave.
func launchTest(t testing.TB, m image.Manifest) (*teetest.Enclave, *image.Image) {
	t.Helper()
	skipWithout(t)
	img := teetest.Image(t, m, teetest.BuildFor(t, "testdata/testenclave", "amd64"), 1)
	return teetest.Launch(t, Backend{}, img, t.TempDir()), img
}

// reference computes the registers of img.
func reference(t testing.TB, img *image.Image) eif.PCRs {
	t.Helper()
	k, err := FindKernel(!Hardware())
	if err != nil {
		t.Fatal(err)
	}
	e, err := EIF(img, k)
	if err != nil {
		t.Fatal(err)
	}
	pcrs, err := e.PCRs()
	if err != nil {
		t.Fatal(err)
	}
	return pcrs
}

// TestPCRs: what is computed offline is what the enclave's module and its
// documents say, and the documents pass for what they are.
func TestPCRs(t *testing.T) {
	e, img := launchTest(t, teetest.Manifest())
	want := reference(t, img)
	for i := range 3 {
		if got := e.Control.Get("pcr", i); got != want[i].String()+" true" {
			t.Errorf("PCR%d: the module says %s, computed was %v", i, got, want[i])
		}
	}
	t.Logf("PCR0, computed and in the enclave: %v", want[0])
	b, err := hex.DecodeString(e.Control.Get("attest", "key", "data", "nonce"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := document.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	p := document.Policy{
		Emulated: true, PublicKey: []byte("key"), UserData: []byte("data"), Nonce: []byte("nonce"),
		PCRs: map[int][]byte{},
	}
	for i, v := range want {
		p.PCRs[i] = v[:]
	}
	if err := d.Check(p); err != nil {
		t.Error(err)
	}
	p.Emulated = false
	if err := d.Check(p); !errors.Is(err, document.ErrEmulated) {
		t.Errorf("taken for a real one: %v", err)
	}
}

// TestModule: registers of the program's own are extended and locked, those of
// the hypervisor can't be.
func TestModule(t *testing.T) {
	e, _ := launchTest(t, teetest.Manifest())
	want := eif.PCR{}.Extend([]byte("data")).String()
	if got := e.Control.Get("extend", 16, "data"); got != want+" false" {
		t.Errorf("extended: %s, want %s", got, want)
	}
	e.Control.Get("lock", 16)
	if got := e.Control.Get("pcr", 16); got != want+" true" {
		t.Errorf("locked: %s, want %s", got, want)
	}
	e.Control.Refused("extend", 16, "more")
	e.Control.Refused("extend", 0, "more")
	e.Control.Refused("pcr", 77)
	if a, b := e.Control.Get("random"), e.Control.Get("random"); len(a) != 512 || a == b || strings.Count(a, a[:2]) > 100 {
		t.Errorf("random numbers %s, %s", a, b)
	}
}

// evidencePrefix is what documents of the emulation begin with: COSE_Sign1 with
// an algorithm that is none.
const evidencePrefix = "\x84\x43\xa1\x01\x20\xa0"

// TestConformance runs the suite of all TEEs. An emulated machine takes seconds to
// start: SECGEAR_TEST_TEES=all asks for the whole.
func TestConformance(t *testing.T) {
	t.Run("amd64", func(t *testing.T) {
		skipWithout(t)
		teetest.Suite{
			Backend:        Backend{},
			Program:        teetest.BuildFor(t, "testdata/testenclave", "amd64"),
			Callee:         teetest.BuildCallee(t, "amd64"),
			Kill:           func(i tee.Instance) error { return i.(*instance).machine.(*emulator).qemu.Kill() },
			EvidencePrefix: evidencePrefix,
			Short:          os.Getenv("SECGEAR_TEST_TEES") != "all",
			Lacks:          []string{"encrypted images", "buffers", "streams", "sealing", "counters"},
			Share:          true,
		}.Run(t)
	})
}
