package tpm_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"github.com/secgear/secgear/sdk/internal/tpm"
	"github.com/secgear/secgear/sdk/internal/tpm/tpmtest"
	"github.com/secgear/secgear/sdk/measured"
)

// start runs a TPM.
func start(t testing.TB) (*tpm.TPM, *tpmtest.Emulator) {
	t.Helper()
	e := tpmtest.Start(t)
	return tpm.At(e.Socket), e
}

// raw is the TPM for commands of the test's own.
func raw(t *testing.T, e *tpmtest.Emulator) transport.TPM {
	t.Helper()
	c, err := linuxudstpm.Open(e.Socket)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// loaded are the keys and sessions in the TPM.
func loaded(t *testing.T, e *tpmtest.Emulator) (all []tpm2.TPMHandle) {
	t.Helper()
	for _, kind := range []uint32{0x80000000, 0x02000000, 0x03000000} {
		got, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: kind, PropertyCount: 10}.Execute(raw(t, e))
		if err != nil {
			t.Fatal(err)
		}
		handles, err := got.CapabilityData.Data.Handles()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, handles.Handle...)
	}
	return all
}

// nothingLeft fails the test if there is a key or session in the TPM.
func nothingLeft(t *testing.T, e *tpmtest.Emulator) {
	t.Helper()
	if left := loaded(t, e); len(left) > 0 {
		t.Errorf("left in the TPM: %#x", left)
	}
}

// forget does what Linux does when a TPM's device is closed.
func forget(t *testing.T, e *tpmtest.Emulator) {
	t.Helper()
	for _, h := range loaded(t, e) {
		if _, err := (tpm2.FlushContext{FlushHandle: h}).Execute(raw(t, e)); err != nil {
			t.Fatal(err)
		}
	}
}

func value(t *testing.T, d *tpm.TPM, pcr int) []byte {
	t.Helper()
	values, err := d.ReadPCRs([]int{pcr})
	if err != nil {
		t.Fatal(err)
	}
	return values[0].Value[:]
}

func TestExtend(t *testing.T) {
	d, e := start(t)
	want := make([]byte, 32)
	for _, event := range []string{"one", "two"} {
		if err := d.Extend(measured.PCR, []byte(event)); err != nil {
			t.Fatal(err)
		}
		want = measured.SHA256.Extend(want, measured.SHA256.Sum([]byte(event)))
		if got := value(t, d, measured.PCR); !bytes.Equal(got, want) {
			t.Errorf("after %s: %x, want %x", event, got, want)
		}
	}
	// The other bank, so that no log can be told for that one.
	got, err := tpm2.PCRRead{PCRSelectionIn: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
		Hash: tpm2.TPMAlgSHA384, PCRSelect: tpm2.PCClientCompatible.PCRs(measured.PCR),
	}}}}.Execute(raw(t, e))
	if err != nil {
		t.Fatal(err)
	}
	other := make([]byte, 48)
	for _, event := range []string{"one", "two"} {
		other = measured.SHA384.Extend(other, measured.SHA384.Sum([]byte(event)))
	}
	if len(got.PCRValues.Digests) != 1 || !bytes.Equal(got.PCRValues.Digests[0].Buffer, other) {
		t.Errorf("in the bank for SHA-384: %x, want %x", got.PCRValues.Digests, other)
	}
	if err := d.Probe(); err != nil {
		t.Error(err)
	}
	e.Reset()
	if got := value(t, d, measured.PCR); !bytes.Equal(got, make([]byte, 32)) {
		t.Errorf("after a restart: %x", got)
	}
}

func allPCRs() (list []int) {
	for i := range measured.PCRs {
		list = append(list, i)
	}
	return list
}

func TestQuote(t *testing.T) {
	d, e := start(t)
	if err := d.Extend(measured.PCR, []byte("event")); err != nil {
		t.Fatal(err)
	}
	nonce := [32]byte{1, 2, 3}
	q, err := d.Quote(nonce, allPCRs())
	if err != nil {
		t.Fatal(err)
	}
	got, err := q.Verify(nonce[:])
	if err != nil {
		t.Fatal(err)
	}
	if v := got.PCRs[measured.PCR]; len(got.PCRs) != measured.PCRs || !bytes.Equal(v[:], value(t, d, measured.PCR)) {
		t.Errorf("quoted: %x", got.PCRs)
	}
	for name, change := range map[string]func(*measured.Quote) []byte{
		"another nonce": func(*measured.Quote) []byte { return []byte("another") },
		"another value": func(q *measured.Quote) []byte { q.PCRs[3].Value[0]++; return nonce[:] },
		"one less":      func(q *measured.Quote) []byte { q.PCRs = q.PCRs[1:]; return nonce[:] },
		"the last less": func(q *measured.Quote) []byte { q.PCRs = q.PCRs[:5]; return nonce[:] },
		"another key":   func(q *measured.Quote) []byte { q.Public[len(q.Public)-1]++; return nonce[:] },
		"altered":       func(q *measured.Quote) []byte { q.Attest[20]++; return nonce[:] },
		"signature":     func(q *measured.Quote) []byte { q.Signature[len(q.Signature)-1]++; return nonce[:] },
		"signature cut": func(q *measured.Quote) []byte { q.Signature = q.Signature[:9]; return nonce[:] },
		"no attest":     func(q *measured.Quote) []byte { q.Attest = nil; return nonce[:] },
		"no key":        func(q *measured.Quote) []byte { q.Public = nil; return nonce[:] },
	} {
		changed := &measured.Quote{
			Attest: slices.Clone(q.Attest), Signature: slices.Clone(q.Signature),
			Public: slices.Clone(q.Public), PCRs: slices.Clone(q.PCRs),
		}
		if _, err := changed.Verify(change(changed)); !errors.Is(err, measured.ErrMismatch) && !errors.Is(err, measured.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	e.Reset()
	again, err := d.Quote(nonce, allPCRs())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(q.Public, again.Public) {
		t.Error("after a restart the TPM signs with another key")
	}
	nothingLeft(t, e)
}

// TestQuoteUnrestricted: a key that signs whatever it is given proves nothing.
func TestQuoteUnrestricted(t *testing.T) {
	d, _ := start(t)
	nonce := [32]byte{1}
	q, err := d.Quote(nonce, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	q.Public[5] &^= 1 // TPMA_OBJECT_RESTRICTED, bit 16
	if _, err := q.Verify(nonce[:]); !errors.Is(err, measured.ErrFormat) {
		t.Errorf("taken: %v", err)
	}
}

// TestCertificates: what the TPM has of certificates, and the key and report of
// Azure's confidential VMs, are in the quote.
func TestCertificates(t *testing.T) {
	d, e := start(t)
	cert, report := bytes.Repeat([]byte("certificate"), 100), tpmtest.AzureReport(2)
	e.WriteNV(0x01c0000a, cert)
	if has, err := d.HasPlatform(); has || err != nil {
		t.Errorf("there is a platform's report: %v, %v", has, err)
	}
	e.WriteNV(0x01400001, report)
	if has, err := d.HasPlatform(); !has || err != nil {
		t.Errorf("there is no platform's report: %v, %v", has, err)
	}
	if _, err := d.Quote([32]byte{}, []int{0}); err == nil {
		t.Error("a quote without the platform's key")
	}
	e.Persist(0x81000003)
	nonce := [32]byte{9}
	q, err := d.Quote(nonce, []int{0, 7})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(q.EKCertificate, cert) || !bytes.Equal(q.Platform, report) {
		t.Errorf("certificate of %d bytes, report of %d", len(q.EKCertificate), len(q.Platform))
	}
	if _, err := q.Verify(nonce[:]); err != nil { // an RSA key, as Azure's
		t.Error(err)
	}
	nothingLeft(t, e)
}

// TestNotConfidential: a report of a machine that is not confidential, or
// anything else at its place, counts for nothing.
func TestNotConfidential(t *testing.T) {
	for name, content := range map[string][]byte{
		"of virtualization": tpmtest.AzureReport(1),
		"cut":               tpmtest.AzureReport(2)[:1200],
		"something else":    bytes.Repeat([]byte{2}, 1300),
	} {
		d, e := start(t)
		e.WriteNV(0x01400001, content)
		if has, err := d.HasPlatform(); has || err != nil {
			t.Errorf("%s: %v, %v", name, has, err)
		}
		q, err := d.Quote([32]byte{}, []int{0})
		if err != nil {
			t.Fatal(err)
		}
		if q.Platform != nil {
			t.Errorf("%s: it is in the quote", name)
		}
	}
}

// newSecret names a secret for the present state.
func newSecret(t *testing.T, d *tpm.TPM, salt byte, pcrs ...int) (s tpm.Secret) {
	t.Helper()
	var err error
	if s.TPM, err = d.Name(); err != nil {
		t.Fatal(err)
	}
	if s.PCRs, err = d.ReadPCRs(pcrs); err != nil {
		t.Fatal(err)
	}
	s.Salt[0] = salt
	return s
}

func TestSecret(t *testing.T) {
	d, e := start(t)
	s := newSecret(t, d, 1, 4, 7)
	first, err := d.Derive(s, "use")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[[32]byte]string{first: "the first"}
	for name, tt := range map[string]struct {
		s   tpm.Secret
		use string
	}{
		"another use":  {s, "other"},
		"another salt": {newSecret(t, d, 2, 4, 7), "use"},
		"other PCRs":   {newSecret(t, d, 1, 4, 8), "use"},
	} {
		got, err := d.Derive(tt.s, tt.use)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if same := seen[got]; same != "" {
			t.Errorf("%s derives what %s does", name, same)
		}
		seen[got] = name
	}
	e.Reset()
	if again, err := d.Derive(s, "use"); err != nil || again != first {
		t.Errorf("after a restart: the same: %v, %v", again == first, err)
	}

	// The machine starts something else.
	if err := d.Extend(7, []byte("another kernel")); err != nil {
		t.Fatal(err)
	}
	var changed *tpm.ChangedError
	if _, err := d.Derive(s, "use"); !errors.As(err, &changed) || !slices.Equal(changed.PCRs, []int{7}) {
		t.Errorf("in another state: %v", err)
	}
	if got, err := d.Derive(newSecret(t, d, 1, 4, 7), "use"); err != nil || got == first {
		t.Errorf("the other state's secret: the same: %v, %v", got == first, err)
	}
	nothingLeft(t, e)

	other, _ := start(t)
	s.PCRs = newSecret(t, other, 1, 4, 7).PCRs
	if _, err := other.Derive(s, "use"); !errors.Is(err, tpm.ErrOtherTPM) {
		t.Errorf("of another TPM: %v", err)
	}
}

// TestPolicyIsTheTPMs: it is the TPM that refuses in another state, not only our
// own look at the registers.
func TestPolicyIsTheTPMs(t *testing.T) {
	d, e := start(t)
	s := newSecret(t, d, 1, 7)
	if err := d.Extend(7, []byte("another kernel")); err != nil {
		t.Fatal(err)
	}
	if _, err := tpm.DeriveUnchecked(d, s, "use"); !errors.Is(err, tpm2.TPMRCPolicyFail) {
		t.Errorf("derived in another state: %v", err)
	}
	nothingLeft(t, e)
}

// TestBetween: who sits on the bus and alters the TPM's answers gets errors, not
// another key or value.
func TestBetween(t *testing.T) {
	d, _ := start(t)
	s := newSecret(t, d, 1, 7)
	if _, err := d.Increment([32]byte{1}, [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	same := func([]byte) {}
	if derived, counted := tpm.WithBetween(d, 0, same, s); derived != nil || counted != nil {
		t.Fatalf("nothing altered: %v, %v", derived, counted)
	}
	const createPrimary, hmac, nvReadPublic, nvRead = 0x131, 0x155, 0x169, 0x14e
	flip := func(at int) func([]byte) {
		return func(answer []byte) { answer[(len(answer)+at)%len(answer)] ^= 1 }
	}
	// CreatePrimary's answer: header (10), handle (4), size of parameters (4), size
	// of the public part (2), type, name's algorithm, attributes (8), …
	for name, tt := range map[string]struct {
		code  uint32
		at    int
		which string
	}{
		"attributes of a key": {createPrimary, 27, "both"},
		"a key's name":        {createPrimary, -6, "both"},
		"what is derived":     {hmac, 20, "derived"},
		"session's answer":    {hmac, -1, "derived"},
		"a counter's field":   {nvReadPublic, 26, "counted"},
		"a counter's name":    {nvReadPublic, -1, "counted"},
		"a counter's value":   {nvRead, 22, "counted"},
	} {
		derived, counted := tpm.WithBetween(d, tt.code, flip(tt.at), s)
		if tt.which != "counted" && derived == nil || tt.which != "derived" && counted == nil {
			t.Errorf("%s: %v, %v", name, derived, counted)
		}
	}
}

func TestCounters(t *testing.T) {
	d, e := start(t)
	key := [32]byte{1}
	a, b := [32]byte{10}, [32]byte{10, 0, 0, 0, 1} // both would be at one place
	get := func(id [32]byte) uint64 {
		t.Helper()
		v, err := d.Counter(key, id)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	increment := func(id [32]byte, want uint64) {
		t.Helper()
		if got, err := d.Increment(key, id); err != nil || got != want {
			t.Fatalf("incremented to %d, %v; want %d", got, err, want)
		}
	}
	if get(a) != 0 {
		t.Error("an unused counter is not zero")
	}
	for i := range uint64(3) {
		increment(a, i+1)
	}
	increment(b, 1)
	increment(a, 4)
	increment(b, 2)
	e.Reset()
	if get(a) != 4 || get(b) != 2 {
		t.Errorf("after a restart: %d, %d", get(a), get(b))
	}
	// Without the key it is nobody's counter.
	if v, err := d.Counter([32]byte{2}, a); err != nil || v != 0 {
		t.Errorf("with another key: %d, %v", v, err)
	}
	nothingLeft(t, e)
}

// TestCounterConcurrent: no increment is lost.
func TestCounterConcurrent(t *testing.T) {
	d, _ := start(t)
	seen := make(chan uint64, 100)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			for range 4 {
				v, err := d.Increment([32]byte{1}, [32]byte{2})
				if err != nil {
					t.Error(err)
				}
				seen <- v
			}
		})
	}
	wg.Wait()
	close(seen)
	var all []uint64
	for v := range seen {
		all = append(all, v)
	}
	slices.Sort(all)
	for i, v := range all {
		if v != uint64(i+1) {
			t.Fatalf("values %d", all)
		}
	}
}

// TestCounterInterrupted: a counter whose making was cut off at any command is
// made all the same.
func TestCounterInterrupted(t *testing.T) {
	d, e := start(t)
	for cut := 1; ; cut++ {
		id := sha256.Sum256([]byte{byte(cut)})
		left, err := tpm.IncrementCut(d, [32]byte{1}, id, cut)
		forget(t, e)
		if left > 0 { // it needed less
			if cut < 5 {
				t.Errorf("made with %d commands: %v", cut-left, err)
			}
			break
		}
		if err == nil {
			break
		}
		v, err := d.Counter([32]byte{1}, id)
		if err != nil || v > 1 {
			t.Fatalf("cut after %d commands, the counter reads %d, %v", cut, v, err)
		}
		if next, err := d.Increment([32]byte{1}, id); err != nil || next != v+1 {
			t.Fatalf("cut after %d commands, incremented from %d to %d, %v", cut, v, next, err)
		}
	}
}

func TestCounterFull(t *testing.T) {
	d, e := start(t)
	owner := tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
	at := tpm2.TPMHandle(0x01500000)
	for size := uint16(2048); size > 0; at++ {
		_, err := tpm2.NVDefineSpace{AuthHandle: owner, PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{
			NVIndex: at, NameAlg: tpm2.TPMAlgSHA256, DataSize: size,
			Attributes: tpm2.TPMANV{OwnerRead: true, OwnerWrite: true, NT: tpm2.TPMNTOrdinary},
		})}.Execute(raw(t, e))
		switch {
		case errors.Is(err, tpm2.TPMRCNVSpace):
			size /= 2
		case err != nil:
			t.Fatal(err)
		}
	}
	for i := range byte(100) { // it keeps some room for counters
		id := sha256.Sum256([]byte{i})
		_, err := d.Increment([32]byte{1}, id)
		if err == nil {
			continue
		}
		if !errors.Is(err, tpm.ErrFull) {
			t.Errorf("in a full TPM: %v", err)
		}
		if v, err := d.Counter([32]byte{1}, id); err != nil || v != 0 {
			t.Errorf("in a full TPM the counter reads %d, %v", v, err)
		}
		return
	}
	t.Error("the TPM is never full")
}

func TestNoTPM(t *testing.T) {
	d := tpm.At(t.TempDir() + "/none")
	if err := d.Probe(); err == nil {
		t.Error("found")
	}
	if _, err := d.Counter([32]byte{}, [32]byte{}); err == nil {
		t.Error("counts")
	}
}

func BenchmarkAll(b *testing.B) {
	d, _ := start(b)
	var s tpm.Secret
	var err error
	if s.TPM, err = d.Name(); err != nil {
		b.Fatal(err)
	}
	if s.PCRs, err = d.ReadPCRs([]int{7}); err != nil {
		b.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"extend":    func() error { return d.Extend(measured.PCR, []byte("event")) },
		"quote":     func() error { _, err := d.Quote([32]byte{}, allPCRs()); return err },
		"derive":    func() error { _, err := d.Derive(s, "use"); return err },
		"increment": func() error { _, err := d.Increment([32]byte{}, [32]byte{}); return err },
		"read":      func() error { _, err := d.Counter([32]byte{}, [32]byte{}); return err },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
