package measured_test

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/measured"
	"github.com/secgear/secgear/sdk/tee"
)

// recorded is evidence of package cvm's tests, over "recorded", by swtpm 0.7.1
// and go-configfs-tsm's fake.
func recorded(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/evidence.bin")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t testing.TB, b []byte) *measured.Evidence {
	t.Helper()
	e, err := measured.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func testEvent(name string) measured.Event {
	m := image.DefaultManifest(name)
	return measured.EventOf(tee.Identity{Digest: image.Digest{1}, Signer: image.SignerID{2}, Manifest: m}, "run "+name)
}

func encode(t testing.TB, e measured.Event) []byte {
	t.Helper()
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestEventDigest pins what is measured: a change of it is a change for every
// verifier.
func TestEventDigest(t *testing.T) {
	b := encode(t, testEvent("test"))
	const want = "ed2fd9a1932bcd7b675a4bb245f6096d012dc6f3bcd826d23576d5627f3d60e4"
	if got := hex.EncodeToString(measured.SHA256.Sum(b)); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	e, err := measured.ParseEvent(b)
	if err != nil || e != testEvent("test") {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestEventRefused(t *testing.T) {
	for name, change := range map[string]func(*measured.Event){
		"no name":      func(e *measured.Event) { e.Name = "" },
		"long name":    func(e *measured.Event) { e.Name = strings.Repeat("x", image.MaxName+1) },
		"long command": func(e *measured.Event) { e.CommandLine = strings.Repeat("x", measured.MaxCommandLine+1) },
	} {
		e := testEvent("test")
		change(&e)
		if _, err := e.Encode(); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
	b := encode(t, testEvent("test"))
	for i := range b {
		if _, err := measured.ParseEvent(b[:i]); !errors.Is(err, measured.ErrFormat) {
			t.Errorf("%d bytes: %v", i, err)
		}
	}
	if _, err := measured.ParseEvent(append(b, 0)); !errors.Is(err, measured.ErrFormat) {
		t.Errorf("one byte more: %v", err)
	}
}

func testLog(t testing.TB) *measured.Log {
	t.Helper()
	return &measured.Log{
		Bases: []measured.Base{
			{Register: measured.RegisterTPM, Alg: measured.SHA256, Value: make([]byte, 32)},
			{Register: measured.RegisterTDX, Alg: measured.SHA384, Value: bytes.Repeat([]byte{7}, 48)},
		},
		Events: [][]byte{encode(t, testEvent("one")), encode(t, testEvent("two"))},
	}
}

func TestLog(t *testing.T) {
	l := testLog(t)
	b := l.Encode()
	got, err := measured.ParseLog(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Encode(), b) {
		t.Error("encoded again it is another")
	}
	if !got.Has(l.Events[1]) || got.Has([]byte("other")) {
		t.Error("what it has is another")
	}
	want := make([]byte, 32)
	for _, e := range l.Events {
		want = measured.SHA256.Extend(want, measured.SHA256.Sum(e))
	}
	if v, err := got.Replay(measured.RegisterTPM, measured.SHA256); err != nil || !bytes.Equal(v, want) {
		t.Errorf("replayed to %x, %v; want %x", v, err, want)
	}
	base := l.Bases[1].Value
	if v, err := got.ReplayBut(2, measured.RegisterTDX, measured.SHA384); err != nil || !bytes.Equal(v, base) {
		t.Errorf("without its events: %x, %v", v, err)
	}
	if _, err := got.Replay(measured.RegisterTPM, measured.SHA384); !errors.Is(err, measured.ErrMismatch) {
		t.Errorf("of a bank that is not in it: %v", err)
	}
}

func TestLogRefused(t *testing.T) {
	whole := testLog(t).Encode()
	for i := range whole {
		if l, err := measured.ParseLog(whole[:i]); err == nil && len(l.Events) == 2 {
			t.Errorf("cut to %d of %d bytes: taken", i, len(whole))
		}
		changed := bytes.Clone(whole)
		changed[i] ^= 1
		// But for the bases' values, which mean what they say.
		l, err := measured.ParseLog(changed)
		if err == nil && bytes.Equal(l.Encode(), whole) {
			t.Errorf("byte %d changes nothing", i)
		}
		if err == nil && len(l.Bases) == 2 && (!bytes.Equal(l.Events[0], testLog(t).Events[0]) || len(l.Events) != 2) {
			t.Errorf("byte %d changes an event, and its digest is taken", i)
		}
	}
	many := testLog(t)
	for len(many.Events) <= measured.MaxEvents {
		many.Events = append(many.Events, many.Events[0])
	}
	if _, err := measured.ParseLog(many.Encode()); !errors.Is(err, measured.ErrFormat) {
		t.Errorf("%d events: %v", len(many.Events), err)
	}
}

func TestEvidence(t *testing.T) {
	e := parse(t, recorded(t))
	quoted, err := e.Check()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := quoted.Key.(*ecdsa.PublicKey); !ok || len(quoted.PCRs) != measured.PCRs || len(quoted.Name) != 34 {
		t.Errorf("%+v", quoted)
	}
	if !e.Emulated || !strings.HasPrefix(string(e.Data[:]), "recorded") {
		t.Errorf("emulated %v, over %q", e.Emulated, e.Data)
	}
	b, err := e.Encode()
	if err != nil || !bytes.Equal(b, recorded(t)) {
		t.Errorf("encoded again it is another (%v)", err)
	}
}

// TestEvidenceAltered: what a quote is bound to can't be changed under it.
func TestEvidenceAltered(t *testing.T) {
	other := encode(t, testEvent("other"))
	for name, change := range map[string]func(*measured.Evidence){
		"data":             func(e *measured.Evidence) { e.Data[63]++ },
		"event":            func(e *measured.Evidence) { e.Event = other },
		"event in the log": func(e *measured.Evidence) { e.Event = other; e.Log.Events = append(e.Log.Events, other) },
		"event left out":   func(e *measured.Evidence) { e.Log.Events = nil },
		"base":             func(e *measured.Evidence) { e.Log.Bases[0].Value[0]++ },
		"no base":          func(e *measured.Evidence) { e.Log.Bases = e.Log.Bases[1:] },
		"register":         func(e *measured.Evidence) { e.Quote.PCRs[measured.PCR].Value[0]++ },
		"register missing": func(e *measured.Evidence) { e.Quote.PCRs = e.Quote.PCRs[:measured.PCR] },
		"nobody signed":    func(e *measured.Evidence) { e.Quote, e.Report = nil, nil },
	} {
		e := parse(t, recorded(t))
		change(e)
		if _, err := e.Check(); !errors.Is(err, measured.ErrMismatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReportData: a report over one event, data, and TPM is none over another.
func TestReportData(t *testing.T) {
	e := parse(t, recorded(t))
	first := e.ReportData()
	e.Quote.Public[0]++
	second := e.ReportData()
	e.Quote = nil
	third := e.ReportData()
	e.Data[0]++
	if fourth := e.ReportData(); first == second || second == third || third == fourth {
		t.Error("two have one report")
	}
}

func TestEvidenceCut(t *testing.T) {
	b := recorded(t)
	for i := range b {
		if _, err := measured.Parse(b[:i]); !errors.Is(err, measured.ErrFormat) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := measured.Parse(append(b, 0)); !errors.Is(err, measured.ErrFormat) {
		t.Errorf("one byte more: %v", err)
	}
	if _, err := measured.Parse(make([]byte, measured.MaxEvidence+1)); !errors.Is(err, measured.ErrFormat) {
		t.Errorf("too much: %v", err)
	}
}

// FuzzParse: what is parsed is encoded to the same bytes, and checking it never
// panics.
func FuzzParse(f *testing.F) {
	f.Add(recorded(f))
	f.Add([]byte(measured.Magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := measured.Parse(b)
		if err != nil {
			return
		}
		e.Check()
		again, err := e.Encode()
		if err != nil || !bytes.Equal(b, again) {
			t.Errorf("encoded again it is another (%v)", err)
		}
	})
}

func FuzzParseLog(f *testing.F) {
	f.Add(testLog(f).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := measured.ParseLog(b); err == nil && !bytes.Equal(b, l.Encode()) {
			t.Error("encoded again it is another")
		}
	})
}

func FuzzVerify(f *testing.F) {
	q := parse(f, recorded(f)).Quote
	f.Add(q.Attest, q.Signature, q.Public)
	f.Fuzz(func(t *testing.T, attest, signature, public []byte) {
		q := &measured.Quote{Attest: attest, Signature: signature, Public: public, PCRs: q.PCRs}
		if quoted, err := q.Verify(make([]byte, 32)); err == nil {
			t.Errorf("forged: %+v", quoted)
		}
	})
}
