package snp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secgear/secgear/middleware/attest"
)

// now is when everything that the tests make is valid.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// authority plays AMD for one product.
type authority struct {
	Authorities
	rootKey, signingKey *rsa.PrivateKey
}

// keys are made once: RSA keys take their time.
var keys = sync.OnceValues(func() ([2]*rsa.PrivateKey, error) {
	a, err := rsa.GenerateKey(rand.Reader, 2048)
	b, err2 := rsa.GenerateKey(rand.Reader, 2048)
	return [2]*rsa.PrivateKey{a, b}, errors.Join(err, err2)
})

func newAuthority(t testing.TB, product string) *authority {
	t.Helper()
	k, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{rootKey: k[0], signingKey: k[1]}
	make := func(name string, issuer *x509.Certificate, public *rsa.PublicKey) *x509.Certificate {
		c := template(name)
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
		if issuer == nil {
			issuer = c
		}
		return sign(t, c, issuer, public, a.rootKey)
	}
	a.Root = make("ARK-"+product, nil, &a.rootKey.PublicKey)
	a.Signing = make("SEV-"+product, a.Root, &a.signingKey.PublicKey)
	return a
}

var serial int64

func template(name string) *x509.Certificate {
	serial++
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, SignatureAlgorithm: x509.SHA384WithRSAPSS,
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(5, 0, 0), BasicConstraintsValid: true,
	}
}

func sign(t testing.TB, c, issuer *x509.Certificate, public any, key *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, public, key)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// machine is a chip with its key.
type machine struct {
	t       testing.TB
	by      *authority
	product string
	cloud   string // VLEK
	tcb     [8]byte
	chip    []byte
	key     *ecdsa.PrivateKey
	cert    *x509.Certificate
}

func newMachine(t testing.TB, product, cloud string) *machine {
	m := &machine{t: t, by: newAuthority(t, product), product: product, cloud: cloud, tcb: [8]byte{3, 1, 2, 4, 0, 0, 8, 115}}
	if product != "Turin" {
		m.tcb[2], m.tcb[3] = 0, 0
	} else {
		m.tcb[6] = 0
	}
	p, err := productNamed(product)
	if err != nil {
		t.Fatal(err)
	}
	m.chip = slices.Repeat([]byte{0xc4}, p.chip)
	if m.key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	m.certify(nil)
	return m
}

// certify makes the key's certificate; change changes it before it is signed.
func (m *machine) certify(change func(*x509.Certificate)) {
	c := template("SEV-VCEK")
	extension := func(value any, params string, arcs ...int) {
		var der []byte
		var err error
		if raw, ok := value.([]byte); ok {
			der = raw // as AMD writes a chip's id
		} else if der, err = asn1.MarshalWithParams(value, params); err != nil {
			m.t.Fatal(err)
		}
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: append(slices.Clone(oidAMD), arcs...), Value: der})
	}
	extension(m.product+"-B0", "ia5", extProduct)
	p, _ := productNamed(m.product)
	for i, name := range p.components {
		for arc, component := range components {
			if component == name {
				extension(int(m.tcb[i]), "", extVersions, arc)
			}
		}
	}
	if m.cloud != "" {
		extension(m.cloud, "ia5", extCloud)
	} else {
		extension(m.chip, "", extChip)
	}
	if change != nil {
		change(c)
	}
	m.cert = sign(m.t, c, m.by.Signing, &m.key.PublicKey, m.by.signingKey)
}

// report makes a signed report; change changes it before it is signed.
func (m *machine) report(change func(b []byte)) []byte {
	b := make([]byte, Size)
	binary.LittleEndian.PutUint32(b, 3)
	b[4] = 7                                             // guest SVN
	binary.LittleEndian.PutUint64(b[8:], 1<<17|1<<16|31) // policy
	b[0x34] = 1
	if m.cloud != "" {
		b[0x48] = keyVLEK << 2
	}
	copy(b[0x50:], "nonce")
	copy(b[0x90:], slices.Repeat([]byte{0x4d}, 48))
	copy(b[0xe0:], slices.Repeat([]byte{0x1d}, 48))
	copy(b[0x160:], slices.Repeat([]byte{0xff}, 32))
	copy(b[0x180:], m.tcb[:])
	copy(b[0x188:], map[string][]byte{"Milan": {0x19, 1, 1}, "Genoa": {0x19, 0x11, 1}, "Turin": {0x1a, 2, 1}}[m.product])
	copy(b[0x1a0:], m.chip)
	if change != nil {
		change(b)
	}
	hash := sha512.Sum384(b[:signedSize])
	r, s, err := ecdsa.Sign(rand.Reader, m.key, hash[:])
	if err != nil {
		m.t.Fatal(err)
	}
	for i, n := range []*big.Int{r, s} {
		number := n.FillBytes(make([]byte, 72))
		slices.Reverse(number)
		copy(b[signedSize+72*i:], number)
	}
	return b
}

// crl is the root's list, with revoked.
func (m *machine) crl(revoked ...*x509.Certificate) []byte {
	list := &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: now.AddDate(0, 0, -10), NextUpdate: now.AddDate(0, 0, 20), SignatureAlgorithm: x509.SHA384WithRSAPSS,
	}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: now})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, m.by.Root, m.by.rootKey)
	if err != nil {
		m.t.Fatal(err)
	}
	return der
}

// authorities are the machine's alone.
func (m *machine) authorities(product string, vlek bool) (Authorities, error) {
	if product != m.product || vlek != (m.cloud != "") {
		return Authorities{}, errors.New("another product")
	}
	return m.by.Authorities, nil
}

// try parses and verifies; an error of either comes back as a failed check.
func (m *machine) try(report []byte, c Collateral, at time.Time) (*attest.Claims, attest.Checks) {
	var k attest.Checks
	r, err := Parse(report)
	if !k.Err("parse", "report", err) {
		return nil, k
	}
	v, err := NewVerifier(m.authorities, c)
	if !k.Err("collateral", "collateral", err) {
		return nil, k
	}
	claims, checks := v.Verify(r, at)
	return claims, append(k, checks...)
}

// not lists the checks that did not pass.
func not(k attest.Checks) string {
	var ids []string
	for _, c := range k {
		if c.Outcome != attest.Passed {
			ids = append(ids, c.ID)
		}
	}
	return strings.Join(ids, " ")
}

func TestEveryProduct(t *testing.T) {
	for _, product := range []string{"Milan", "Genoa", "Turin"} {
		for _, cloud := range []string{"", "A Cloud"} {
			t.Run(product+cloud, func(t *testing.T) {
				m := newMachine(t, product, cloud)
				claims, checks := m.try(m.report(nil), Collateral{m.cert.Raw, m.crl()}, now)
				if checks.Tier() != attest.TierAffirming {
					t.Fatalf("%+v", checks)
				}
				snp := map[string]uint64{"Turin": 4}[product]
				if snp == 0 {
					snp = 8
				}
				if claims.SecurityVersion != 7 || claims.TCB.Components["snp"] != snp || claims.TCB.Components["microcode"] != 115 || claims.Debug {
					t.Errorf("%+v", claims)
				}
				p := attest.Policy{
					TEE: "sev-snp", Measurements: map[string][]attest.Bytes{"measurement": {slices.Repeat([]byte{0x4d}, 48)}},
					ReportData: []byte("nonce"), MinTCB: map[string]uint64{"snp": snp},
				}
				if v := attest.Judge("snp-report", now, claims, checks, &p); v.Tier != attest.TierAffirming {
					t.Errorf("%+v", v.Checks)
				}
				p.MinTCB = nil
				if v := attest.Judge("snp-report", now, claims, checks, &p); v.Tier != attest.TierNone {
					t.Errorf("without least versions: %v", v.Tier)
				}
			})
		}
	}
}

// TestRefused: what is wrong is found, and named.
func TestRefused(t *testing.T) {
	set := func(at int, v ...byte) func([]byte) { return func(b []byte) { copy(b[at:], v) } }
	for name, c := range map[string]struct {
		report func(b []byte)
		cert   func(c *x509.Certificate)
		after  func(m *machine, report []byte, c *Collateral)
		at     time.Time
		want   string
	}{
		"nothing":                  {},
		"another version":          {report: set(0, 9), want: "parse"},
		"another algorithm":        {report: set(0x34, 2), want: "parse"},
		"no bit 17":                {report: set(10, 0), want: "parse"},
		"bytes after":              {after: func(_ *machine, b []byte, _ *Collateral) { b[Size-1] = 1 }, want: "parse"},
		"another chip":             {report: set(0x1a0, 1), want: "key.chip"},
		"a hidden chip":            {report: set(0x48, keyMaskChip), want: "key.chip"},
		"another firmware":         {report: set(0x186, 9), want: "key.tcb"},
		"another processor":        {report: set(0x188, 0x1a), want: "key.kind"},
		"not signed":               {report: set(0x48, keyNone<<2), want: "key.kind"},
		"signed by a cloud":        {report: set(0x48, keyVLEK<<2), want: "key.kind"},
		"an agent":                 {report: func(b []byte) { b[10] |= 4; b[0x160] = 0 }, want: "report.agent"},
		"migratable, and no agent": {report: func(b []byte) { b[10] |= 4 }},
		"altered":                  {after: func(_ *machine, b []byte, _ *Collateral) { b[0x90] ^= 1 }, want: "report.signature"},
		"a signature of zeros":     {after: func(_ *machine, b []byte, _ *Collateral) { clear(b[signedSize:]) }, want: "report.signature"},
		"too early":                {at: now.AddDate(0, 0, -11), want: "key.revocation"},
		"too late":                 {at: now.AddDate(6, 0, 0), want: "key.time key.revocation"},
		"revoked":                  {after: func(m *machine, _ []byte, c *Collateral) { c.Revocations = m.crl(m.by.Signing) }, want: "key.revocation"},
		"no list":                  {after: func(_ *machine, _ []byte, c *Collateral) { c.Revocations = nil }, want: "key.revocation"},
		"another product's list":   {after: func(m *machine, _ []byte, c *Collateral) { c.Revocations = newMachine(m.t, "Genoa", "").crl() }, want: "collateral"},
		"an authority as key":      {cert: func(c *x509.Certificate) { c.IsCA = true }, want: "collateral"},
		"no extensions":            {cert: func(c *x509.Certificate) { c.ExtraExtensions = nil }, want: "collateral"},
		"a version missing":        {cert: func(c *x509.Certificate) { c.ExtraExtensions = slices.Delete(c.ExtraExtensions, 1, 2) }, want: "collateral"},
		"no chip": {cert: func(c *x509.Certificate) {
			c.ExtraExtensions = c.ExtraExtensions[:len(c.ExtraExtensions)-1]
		}, want: "collateral"},
		"signed by the root": {after: func(m *machine, _ []byte, c *Collateral) {
			t := template("SEV-VCEK")
			t.ExtraExtensions = m.cert.Extensions
			c.Certificate = sign(m.t, t, m.by.Root, &m.key.PublicKey, m.by.rootKey).Raw
		}, want: "collateral"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "Milan", "")
			if c.cert != nil {
				m.certify(c.cert)
			}
			report, collateral := m.report(c.report), Collateral{m.cert.Raw, m.crl()}
			if c.after != nil {
				c.after(m, report, &collateral)
			}
			if c.at.IsZero() {
				c.at = now
			}
			_, checks := m.try(report, collateral, c.at)
			if got := not(checks); got != c.want {
				t.Errorf("not passed: %q, want %q\n%+v", got, c.want, checks)
			}
		})
	}
}

// TestNothingAltered: a report of which a bit was changed is not trusted.
func TestNothingAltered(t *testing.T) {
	m := newMachine(t, "Genoa", "")
	v, err := NewVerifier(m.authorities, Collateral{m.cert.Raw, m.crl()})
	if err != nil {
		t.Fatal(err)
	}
	good := m.report(nil)
	for i := 0; i < len(good); i += 5 { // one of each field at least
		bad := slices.Clone(good)
		bad[i] ^= 1 << (i % 8)
		r, err := Parse(bad)
		if err != nil {
			continue
		}
		if _, checks := v.Verify(r, now); checks.Tier().Trusted() {
			t.Errorf("trusted with byte %#x changed", i)
		}
	}
	for n := range good {
		if _, err := Parse(good[:n]); !errors.Is(err, ErrFormat) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

// TestDebug: debugging shows in the claims.
func TestDebug(t *testing.T) {
	m := newMachine(t, "Milan", "")
	claims, _ := m.try(m.report(func(b []byte) { b[10] |= 8 }), Collateral{m.cert.Raw, nil}, now)
	if !claims.Debug {
		t.Error("it does not show")
	}
}

// TestAMD: AMD's own authorities are what they should be.
func TestAMD(t *testing.T) {
	for _, p := range products {
		for _, vlek := range []bool{false, true} {
			a, err := AMD(p.name, vlek)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Signing.CheckSignatureFrom(a.Root); err != nil || a.Root.Subject.CommonName != "ARK-"+p.name || strings.Contains(a.Signing.Subject.CommonName, "VLEK") != vlek {
				t.Errorf("%s: %v, %q by %q", p.name, err, a.Signing.Subject.CommonName, a.Root.Subject.CommonName)
			}
		}
	}
	if _, err := AMD("../doc", false); err == nil {
		t.Error("there is a product that is none")
	}
}

// TestVector verifies a real report of a Milan processor.
func TestVector(t *testing.T) {
	dir := os.Getenv("SECGEAR_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "vectors")
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, "snp", name))
		if err != nil {
			t.Skipf("there is no %s here: set SECGEAR_VECTORS to the folder of real evidence", name)
		}
		return b
	}
	report, cert := read("test-report.bin"), read("test-vcek.der")
	r, err := Parse(report)
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifier(AMD, Collateral{Certificate: cert})
	if err != nil {
		t.Fatal(err)
	}
	claims, checks := v.Verify(r, time.Date(2023, 6, 1, 0, 0, 0, 0, time.UTC))
	if got := not(checks); got != "key.revocation" || claims.Platform["product"] != "Milan" {
		t.Errorf("not passed: %q\n%+v\n%+v", got, checks, claims)
	}
}

func FuzzParse(f *testing.F) {
	m := newMachine(f, "Turin", "")
	v, err := NewVerifier(m.authorities, Collateral{m.cert.Raw, m.crl()})
	if err != nil {
		f.Fatal(err)
	}
	good := m.report(nil)
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			return
		}
		if _, checks := v.Verify(r, now); checks.Tier().Trusted() && !slices.Equal(b, good) {
			t.Error("trusted")
		}
	})
}

func FuzzKey(f *testing.F) {
	m := newMachine(f, "Milan", "")
	f.Add(m.cert.Raw)
	f.Fuzz(func(_ *testing.T, der []byte) { _, _ = parseKey(der, m.authorities) })
}
