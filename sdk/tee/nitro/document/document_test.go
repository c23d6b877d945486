package document

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/tee/nitro/internal/cbor"
	"github.com/secgear/secgear/sdk/tee/nitro/internal/cose"
)

// now is when the test's documents are made.
var now = time.Date(2026, 3, 4, 5, 6, 7, 8_000_000, time.UTC)

// authority is an attestation authority of the test's own.
type authority struct {
	root, leaf []byte // DER
	key        *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	make := func(name string, parent *x509.Certificate, signer *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
			IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		}
		if parent == nil {
			parent, signer = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		return der, key
	}
	var rootKey *ecdsa.PrivateKey
	a.root, rootKey = make("root", nil, nil)
	root, err := x509.ParseCertificate(a.root)
	if err != nil {
		t.Fatal(err)
	}
	a.leaf, a.key = make("leaf", root, rootKey)
	return a
}

func (a *authority) pool(t testing.TB) *x509.CertPool {
	t.Helper()
	c, err := x509.ParseCertificate(a.root)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return pool
}

// field is an encoded field of a payload.
type field struct {
	name  string
	value []byte
}

func pcr(fill byte) []byte { return bytes.Repeat([]byte{fill}, 48) }

// fields are those of a document of leaf and root.
func fields(leaf, root []byte) []field {
	pcrs := cbor.AppendMap(nil, 3)
	for i := range 3 {
		pcrs = cbor.AppendBytes(cbor.AppendUint(pcrs, uint64(i)), pcr(byte(i+1)))
	}
	return []field{
		{"module_id", cbor.AppendText(nil, "i-1")},
		{"digest", cbor.AppendText(nil, "SHA384")},
		{"timestamp", cbor.AppendUint(nil, uint64(now.UnixMilli()))},
		{"pcrs", pcrs},
		{"certificate", cbor.AppendBytes(nil, leaf)},
		{"cabundle", cbor.AppendBytes(cbor.AppendArray(nil, 1), root)},
		{"public_key", cbor.AppendNull(nil)},
		{"user_data", cbor.AppendBytes(nil, []byte("data"))},
		{"nonce", cbor.AppendBytes(nil, []byte("nonce"))},
	}
}

func payload(fields []field) []byte {
	b := cbor.AppendMap(nil, len(fields))
	for _, f := range fields {
		b = append(cbor.AppendText(b, f.name), f.value...)
	}
	return b
}

// emulated is a document as QEMU makes them.
func emulated(fields []field) []byte {
	return (&cose.Sign1{Algorithm: -1, Payload: payload(fields), Signature: make([]byte, 64)}).Encode()
}

func (a *authority) sign(t testing.TB, fields []field) []byte {
	t.Helper()
	m, err := cose.Sign(payload(fields), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return m.Encode()
}

func parse(t testing.TB, b []byte) *Document {
	t.Helper()
	d, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestParse: all fields are read.
func TestParse(t *testing.T) {
	d := parse(t, emulated(fields(make([]byte, 64), make([]byte, 64))))
	if d.ModuleID != "i-1" || !d.Time.Equal(now) || len(d.PCRs) != 3 || !bytes.Equal(d.PCRs[2], pcr(3)) {
		t.Errorf("%+v", d)
	}
	if len(d.Certificate) != 64 || len(d.Bundle) != 1 || d.PublicKey != nil || string(d.UserData) != "data" || string(d.Nonce) != "nonce" {
		t.Errorf("%+v", d)
	}
}

// TestRefused: what is missing, malformed or there twice.
func TestRefused(t *testing.T) {
	leaf := make([]byte, 64)
	set := func(name string, value []byte) []field {
		f := fields(leaf, leaf)
		for i := range f {
			if f[i].name == name {
				f[i].value = value
			}
		}
		return f
	}
	pcrs := func(n uint64, size int) []byte {
		return cbor.AppendBytes(cbor.AppendUint(cbor.AppendMap(nil, 1), n), make([]byte, size))
	}
	cases := map[string][]byte{
		"nothing":             nil,
		"too long":            emulated(set("user_data", cbor.AppendBytes(nil, make([]byte, MaxSize)))),
		"field twice":         emulated(append(fields(leaf, leaf), field{"nonce", cbor.AppendNull(nil)})),
		"other digest":        emulated(set("digest", cbor.AppendText(nil, "SHA256"))),
		"no module":           emulated(set("module_id", cbor.AppendText(nil, ""))),
		"no time":             emulated(set("timestamp", cbor.AppendUint(nil, 0))),
		"time as text":        emulated(set("timestamp", cbor.AppendText(nil, "now"))),
		"no registers":        emulated(set("pcrs", cbor.AppendMap(nil, 0))),
		"register 32":         emulated(set("pcrs", pcrs(32, 48))),
		"short register":      emulated(set("pcrs", pcrs(0, 32))),
		"register twice":      emulated(set("pcrs", append(cbor.AppendMap(nil, 2), append(pcrs(1, 48)[1:], pcrs(1, 48)[1:]...)...))),
		"empty certificate":   emulated(set("certificate", cbor.AppendBytes(nil, nil))),
		"no bundle":           emulated(set("cabundle", cbor.AppendArray(nil, 0))),
		"large bundle":        emulated(set("cabundle", cbor.AppendBytes(cbor.AppendArray(nil, 1), make([]byte, 1025)))),
		"long nonce":          emulated(set("nonce", cbor.AppendBytes(nil, make([]byte, 513)))),
		"empty public key":    emulated(set("public_key", cbor.AppendBytes(nil, nil))),
		"something after all": append(emulated(fields(leaf, leaf)), 0),
	}
	for i, f := range fields(leaf, leaf)[:6] {
		cases["no "+f.name] = emulated(append(fields(leaf, leaf)[:i], fields(leaf, leaf)[i+1:]...))
	}
	for name, b := range cases {
		if d, err := Parse(b); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	if _, err := Parse(emulated(append(fields(leaf, leaf), field{"unknown", cbor.AppendArray(nil, 0)}))); err != nil {
		t.Errorf("an unknown field: %v", err)
	}
}

// TestCheck: a document passes by the policy that is meant for it only.
func TestCheck(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	signed := a.sign(t, fields(a.leaf, a.root))
	fake := emulated(fields(make([]byte, 64), make([]byte, 64)))
	unsigned := func() []byte { // by AWS's certificates, but signed by nobody
		return (&cose.Sign1{Algorithm: cose.ES384, Payload: payload(fields(a.leaf, a.root)), Signature: make([]byte, 96)}).Encode()
	}()
	debug := fields(a.leaf, a.root)
	debug[3].value = cbor.AppendBytes(cbor.AppendUint(cbor.AppendMap(nil, 1), 0), make([]byte, 48))
	good := Policy{
		Roots: a.pool(t), Time: now, PCRs: map[int][]byte{0: pcr(1), 2: pcr(3)},
		UserData: []byte("data"), Nonce: []byte("nonce"),
	}
	with := func(change func(*Policy)) Policy {
		p := good
		p.PCRs = maps.Clone(good.PCRs)
		change(&p)
		return p
	}
	for name, tt := range map[string]struct {
		doc    []byte
		policy Policy
		want   error
	}{
		"as it should be":             {signed, good, nil},
		"emulated":                    {fake, good, ErrEmulated},
		"emulated, asked for":         {fake, with(func(p *Policy) { p.Emulated = true }), nil},
		"real, emulation asked for":   {signed, with(func(p *Policy) { p.Emulated = true }), ErrNotEmulated},
		"unsigned":                    {unsigned, good, ErrEmulated},
		"signed by a stranger":        {stranger.sign(t, fields(a.leaf, a.root)), good, ErrUntrusted},
		"a stranger's chain":          {stranger.sign(t, fields(stranger.leaf, stranger.root)), good, ErrUntrusted},
		"no roots":                    {signed, with(func(p *Policy) { p.Roots = nil }), ErrUntrusted},
		"too late":                    {signed, with(func(p *Policy) { p.Time = now.Add(2 * time.Hour) }), ErrUntrusted},
		"certificate is no DER":       {a.sign(t, fields([]byte("x"), a.root)), good, ErrUntrusted},
		"bundle is no DER":            {a.sign(t, fields(a.leaf, []byte("x"))), good, ErrUntrusted},
		"another register":            {signed, with(func(p *Policy) { p.PCRs[2] = pcr(9) }), ErrMismatch},
		"register prefix":             {signed, with(func(p *Policy) { p.PCRs[2] = pcr(3)[:47] }), ErrMismatch},
		"register that is not there":  {signed, with(func(p *Policy) { p.PCRs[8] = pcr(9) }), ErrMismatch},
		"no registers in the policy":  {signed, with(func(p *Policy) { p.PCRs = nil }), ErrMismatch},
		"only an unimportant one":     {signed, with(func(p *Policy) { p.PCRs = map[int][]byte{4: nil} }), ErrMismatch},
		"another nonce":               {signed, with(func(p *Policy) { p.Nonce = []byte("nonc") }), ErrMismatch},
		"another user data":           {signed, with(func(p *Policy) { p.UserData = []byte("dat0") }), ErrMismatch},
		"a key that is not there":     {signed, with(func(p *Policy) { p.PublicKey = []byte("key") }), ErrMismatch},
		"debug":                       {a.sign(t, debug), good, ErrDebug},
		"debug, accepted":             {a.sign(t, debug), with(func(p *Policy) { p.Debug = true }), nil},
		"debug, emulated":             {emulated(debug), with(func(p *Policy) { p.Emulated = true }), ErrDebug},
		"emulated, another register":  {fake, with(func(p *Policy) { p.Emulated = true; p.PCRs[0] = pcr(0) }), ErrMismatch},
		"emulated, another user data": {fake, with(func(p *Policy) { p.Emulated = true; p.UserData = nil; p.Nonce = []byte{} }), ErrMismatch},
	} {
		if err := parse(t, tt.doc).Check(tt.policy); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// vectors is where recorded documents are.
func vectors(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SECGEAR_VECTORS")
	if dir == "" {
		dir = "../../../../../shared/vectors"
	}
	dir = filepath.Join(dir, "nitro")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("recorded attestation documents are not here: %v", err)
	}
	return dir
}

// TestRecorded: documents of real enclaves (evervault/attestation-doc-validation,
// test-data) verify up to AWS's root at the time they were made.
func TestRecorded(t *testing.T) {
	dir := vectors(t)
	for name, debug := range map[string]bool{
		"valid-attestation-doc-bytes": false, "valid-attestation-doc-base64": true, "debug-mode-attestation-doc-bytes": true,
	} {
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Ext(name) == "" && bytes.HasSuffix([]byte(name), []byte("base64")) {
				if b, err = base64.StdEncoding.DecodeString(string(bytes.TrimSpace(b))); err != nil {
					t.Fatal(err)
				}
			}
			d := parse(t, b)
			if d.Emulated() || d.Debug() != debug {
				t.Errorf("emulated %v, debug %v", d.Emulated(), d.Debug())
			}
			roots, err := Root(d.Bundle[0])
			if err != nil {
				t.Fatal(err)
			}
			p := Policy{Roots: roots, Time: d.Time, Debug: debug, PCRs: map[int][]byte{0: d.PCRs[0], 4: d.PCRs[4]}}
			if err := d.Check(p); err != nil {
				t.Error(err)
			}
			p.Time = d.Time.Add(24 * time.Hour)
			if err := d.Check(p); !errors.Is(err, ErrUntrusted) {
				t.Errorf("a day later: %v", err)
			}
			if m, err := cose.Parse(b); err != nil || !bytes.Equal(m.Encode(), b) {
				t.Errorf("encoded again it differs: %v", err)
			}
			b[len(b)-1] ^= 1
			if err := parse(t, b).Check(Policy{Roots: roots, Time: d.Time, Debug: debug, PCRs: p.PCRs}); !errors.Is(err, ErrUntrusted) {
				t.Errorf("signature altered: %v", err)
			}
		})
	}
	if _, err := Root([]byte("x")); !errors.Is(err, ErrUntrusted) {
		t.Errorf("another root: %v", err)
	}
}

// FuzzParse: any input is refused, or a document within its bounds.
func FuzzParse(f *testing.F) {
	f.Add(emulated(fields(make([]byte, 64), make([]byte, 64))))
	f.Add([]byte{0x84, 0x43, 0xa1, 0x01, 0x20, 0xa0, 0x41, 0xa0, 0x40})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Error(err)
			}
			return
		}
		if len(d.PCRs) == 0 || len(d.PCRs) > 32 || len(d.UserData) > MaxUserData || len(d.ModuleID) > maxModuleID {
			t.Errorf("%+v", d)
		}
		d.Check(Policy{Emulated: true, PCRs: map[int][]byte{0: make([]byte, 48)}})
		d.Check(Policy{Roots: x509.NewCertPool()})
	})
}
