package dcap

import (
	"bytes"
	"crypto/x509"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secgear/secgear/middleware/attest"
	"github.com/secgear/secgear/middleware/attest/internal/certs"
)

// try parses and verifies a quote; an error of either comes back as a failed check.
func try(root *authority, c *Collateral, quote []byte, at time.Time) (*attest.Claims, attest.Checks) {
	var k attest.Checks
	q, err := Parse(quote)
	if !k.Err("parse", "quote", err) {
		return nil, k
	}
	v, err := NewVerifier(root.root.cert, c)
	if !k.Err("collateral", "collateral", err) {
		return nil, k
	}
	claims, found := v.Verify(q, at)
	return claims, append(k, found...)
}

// bodies are quotes of every kind: version and body.
var bodies = map[string]struct {
	version int
	body    []byte
}{
	"sgx 3":     {3, sgxBody()},
	"sgx 4":     {4, sgxBody()},
	"sgx 5":     {5, sgxBody()},
	"tdx 4":     {4, tdxBody(tdx10Size, 5, 0)},
	"tdx 5":     {5, tdxBody(tdx10Size, 4, 1)},
	"tdx 1.5 5": {5, tdxBody(tdx15Size, 4, 1)},
}

func TestEveryKind(t *testing.T) {
	a := newAuthority(t)
	for name, b := range bodies {
		t.Run(name, func(t *testing.T) {
			tdx := len(b.body) != sgxBodySize
			claims, checks := try(a, a.collateral(a.texts(tdx)), a.quote(b.version, b.body), now)
			if checks.Tier() == attest.TierAffirming && claims.TCB.Status == statusUpToDate && bytes.HasPrefix(claims.ReportData, []byte("nonce")) {
				return
			}
			t.Errorf("%v: %+v\n%+v", checks.Tier(), checks, claims)
		})
	}
}

// failed lists the checks that failed.
func failed(k attest.Checks) string {
	var ids []string
	for _, c := range k {
		if c.Outcome == attest.Failed {
			ids = append(ids, c.ID)
		}
	}
	return strings.Join(ids, " ")
}

// TestNothingAltered: a quote of which a bit was changed is not trusted, wherever that
// is; nor one that was cut or added to.
func TestNothingAltered(t *testing.T) {
	a := newAuthority(t)
	for name, b := range bodies {
		t.Run(name, func(t *testing.T) {
			good := a.quote(b.version, b.body)
			q, err := Parse(good)
			if err != nil {
				t.Fatal(err)
			}
			v, err := NewVerifier(a.root.cert, a.collateral(a.texts(q.TDX != nil)))
			if err != nil {
				t.Fatal(err)
			}
			chain := bytes.Index(good, q.chain)
			for i := 0; i < len(good); i += 5 { // one of each field at least
				if i > chain {
					i += 30 // much of the same
				}
				if i >= len(good) {
					break
				}
				bad := slices.Clone(good)
				bad[i] ^= 1 << (i % 8)
				q, err := Parse(bad)
				if err != nil {
					continue
				}
				if _, checks := v.Verify(q, now); checks.Tier().Trusted() && !sameCertificates(q.chain, chainOf(good)) {
					t.Errorf("trusted with byte %d changed from %02x to %02x", i, good[i], bad[i])
				}
			}
			for n := range good {
				if _, err := Parse(good[:n]); err == nil {
					t.Fatalf("the first %d of %d bytes are a quote", n, len(good))
				}
			}
			if _, err := Parse(append(slices.Clone(good), 0, 0)); err != nil {
				t.Errorf("zeros after it: %v", err)
			}
			if _, err := Parse(append(slices.Clone(good), 0, 1)); err == nil {
				t.Error("something after it is no error")
			}
		})
	}
}

// chainOf returns the certificates of a quote.
func chainOf(b []byte) []byte {
	q, err := Parse(b)
	if err != nil {
		return nil
	}
	return q.chain
}

// sameCertificates tells whether two PEM texts that differ have the same certificates:
// nobody signs their line ends.
func sameCertificates(a, b []byte) bool {
	x, err := certs.Parse(a)
	y, err2 := certs.Parse(b)
	return err == nil && err2 == nil && !bytes.Equal(a, b) && slices.EqualFunc(x, y, (*x509.Certificate).Equal)
}

// TestRefused: what is wrong is found, and named.
func TestRefused(t *testing.T) {
	other := newAuthority(t)
	for name, c := range map[string]struct {
		change func(a *authority, tcb, qe map[string]any)
		after  func(a *authority, c *Collateral)
		body   []byte
		at     time.Time
		want   string // failed checks
		status string
	}{
		"nothing":               {},
		"before the collateral": {at: now.AddDate(0, 0, -11), want: "collateral.time"},
		"after the collateral":  {at: now.AddDate(0, 0, 21), want: "collateral.time"},
		"after the certificate": {at: now.AddDate(6, 0, 0), want: "pck.time collateral.time"},
		"platform revoked":      {change: func(a *authority, _, _ map[string]any) { a.revokedPCK = true }, want: "pck.revocation"},
		"signer revoked":        {change: func(a *authority, _, _ map[string]any) { a.revokedTCBSigner = true }, want: "collateral.time"},
		"other platforms":       {change: func(_ *authority, tcb, _ map[string]any) { tcb["fmspc"] = "010203040507" }, want: "tcb.platform"},
		"list of another CA": {after: func(a *authority, c *Collateral) {
			processor := issue(a.t, "Processor CA", true, a.root)
			c.PCKCRLIssuerChain, c.PCKCRL = chainPEM(processor, a.root), a.crl(processor, a.pck, false)
		}, want: "pck.revocation"},
		"list by somebody else": {after: func(a *authority, c *Collateral) { c.PCKCRL = other.crl(other.platform, a.pck, false) }, want: "collateral"},
		"root of somebody else": {after: func(a *authority, c *Collateral) {
			*c = *other.collateral(other.texts(false))
		}, want: "collateral"},
		"TCB info altered":          {after: func(_ *authority, c *Collateral) { c.TCBInfo = strings.Replace(c.TCBInfo, "17", "18", 1) }, want: "collateral"},
		"QE identity altered":       {after: func(_ *authority, c *Collateral) { c.QEIdentity = strings.Replace(c.QEIdentity, "17", "18", 1) }, want: "collateral"},
		"signed by the platform CA": {after: func(a *authority, c *Collateral) { c.TCBInfoIssuerChain = chainPEM(a.platform, a.root) }, want: "collateral"},
		"collateral for TDX": {after: func(a *authority, c *Collateral) {
			*c = *a.collateral(a.texts(true))
		}, want: "tcb.platform qe.identity"},
		"another quoting enclave":    {change: func(_ *authority, _, qe map[string]any) { qe["mrsigner"] = strings.Repeat("00", 32) }, want: "qe.identity"},
		"another product":            {change: func(_ *authority, _, qe map[string]any) { qe["isvprodid"] = 9 }, want: "qe.identity"},
		"a quoting enclave to debug": {change: func(_ *authority, _, qe map[string]any) { qe["attributes"] = "13000000000000000000000000000000" }, want: "qe.identity"},
		"an old quoting enclave":     {change: func(_ *authority, _, qe map[string]any) { qe["tcbLevels"] = svnLevels(9, statusUpToDate) }, status: statusOutOfDate},
		"older than any":             {change: func(_ *authority, _, qe map[string]any) { qe["tcbLevels"] = svnLevels(9, statusUpToDate)[:1] }, want: "qe.level"},
		"a revoked quoting enclave":  {change: func(_ *authority, _, qe map[string]any) { qe["tcbLevels"] = svnLevels(8, statusRevoked) }, status: statusRevoked},
		"an unknown state": {change: func(_ *authority, tcb, _ map[string]any) {
			tcb["tcbLevels"] = levels(false, []int{5}, []string{"Fine"})
		}, want: "collateral"},
		"no levels":          {change: func(_ *authority, tcb, _ map[string]any) { tcb["tcbLevels"] = []any{} }, want: "collateral"},
		"an unknown version": {change: func(_ *authority, tcb, _ map[string]any) { tcb["version"] = 2 }, want: "collateral"},
		"a platform without hardware": {change: func(_ *authority, tcb, _ map[string]any) {
			tcb["tcbLevels"] = levels(false, []int{6}, []string{statusUpToDate})
		}, want: "tcb.level"},
		"a platform to configure": {change: func(_ *authority, tcb, _ map[string]any) {
			tcb["tcbLevels"] = levels(false, []int{6, 5}, []string{statusUpToDate, statusConfigurationHardening})
		}, status: statusConfigurationHardening},
		"an enclave that never ran": {body: func() []byte { b := sgxBody(); b[48] = 4; return b }(), want: "report.attributes"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			tcb, qe := a.texts(false)
			if c.change != nil {
				c.change(a, tcb, qe)
			}
			collateral := a.collateral(tcb, qe)
			if c.after != nil {
				c.after(a, collateral)
			}
			if c.body == nil {
				c.body = sgxBody()
			}
			if c.at.IsZero() {
				c.at = now
			}
			claims, checks := try(a, collateral, a.quote(3, c.body), c.at)
			if got := failed(checks); got != c.want {
				t.Errorf("failed: %q, want %q\n%+v", got, c.want, checks)
			}
			if c.want == "" && c.status == "" {
				c.status = statusUpToDate
			}
			if c.status != "" && claims.TCB.Status != c.status {
				t.Errorf("status %q, want %q", claims.TCB.Status, c.status)
			}
		})
	}
}

// TestQuotingEnclaveForged: a key that the quoting enclave did not make, and a quoting
// enclave that no platform vouches for.
func TestQuotingEnclaveForged(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	c := a.collateral(a.texts(false))

	forged := *a
	forged.pck = &signer{a.pck.cert, other.pck.key} // the platform's certificate, not its key
	_, checks := try(a, c, forged.quote(3, sgxBody()), now)
	if failed(checks) != "qe.signature" {
		t.Errorf("signed by another key: %q", failed(checks))
	}

	forged = *a
	forged.pck = issue(t, "PCK Certificate", false, a.pck) // by a platform, which is no CA
	_, checks = try(a, c, forged.quote(3, sgxBody()), now)
	if failed(checks) != "pck.chain" {
		t.Errorf("certified by another CA: %q", failed(checks))
	}

	quote := a.quote(3, sgxBody())
	key := quote[headerSize+sgxBodySize+4+64:]
	copy(key, append(other.attestation.X.FillBytes(make([]byte, 32)), other.attestation.Y.FillBytes(make([]byte, 32))...))
	copy(quote[headerSize+sgxBodySize+4:], other.sign(other.attestation, quote[:headerSize+sgxBodySize]))
	_, checks = try(a, c, quote, now)
	if failed(checks) != "qe.key" {
		t.Errorf("signed by a key that the quoting enclave did not make: %q", failed(checks))
	}
}

// TestWithoutCollateral: what could not be looked at is not passed.
func TestWithoutCollateral(t *testing.T) {
	a := newAuthority(t)
	claims, checks := try(a, nil, a.quote(3, sgxBody()), now)
	if checks.Tier() != attest.TierNone || failed(checks) != "" || claims.TCB.Status != "" {
		t.Errorf("%v, %+v", checks.Tier(), checks)
	}
}

// TestTDXModule: a module with a version of its own has levels of its own.
func TestTDXModule(t *testing.T) {
	a := newAuthority(t)
	body := func(svn, version byte) []byte { return tdxBody(tdx10Size, svn, version) }
	for name, c := range map[string]struct {
		body         []byte
		want, status string
	}{
		"newer":                              {body: body(9, 1), status: statusUpToDate},
		"out of date":                        {body: body(3, 1), status: statusOutOfDate},
		"too old":                            {body: body(0, 1), want: "tdx.module"},
		"unknown":                            {body: body(4, 2), want: "tdx.module"},
		"another signer":                     {body: func() []byte { b := body(4, 1); b[64] = 1; return b }(), want: "tdx.module"},
		"attributes":                         {body: func() []byte { b := body(4, 1); b[112] = 1; return b }(), want: "tdx.module"},
		"without a version":                  {body: body(5, 0), status: statusUpToDate},
		"old without a version":              {body: body(4, 0), status: statusConfiguration},
		"with a version, old as a component": {body: body(4, 1), status: statusUpToDate},
		"microcode is old":                   {body: func() []byte { b := body(4, 1); b[2] = 4; return b }(), status: statusConfiguration},
	} {
		t.Run(name, func(t *testing.T) {
			claims, checks := try(a, a.collateral(a.texts(true)), a.quote(4, c.body), now)
			if failed(checks) != c.want || claims.TCB.Status != c.status {
				t.Errorf("failed %q, status %q, want %q and %q\n%+v", failed(checks), claims.TCB.Status, c.want, c.status, checks)
			}
		})
	}
}

// TestConverge is Intel's table of what a platform is together with its quoting enclave.
func TestConverge(t *testing.T) {
	for _, c := range [][3]string{
		{statusUpToDate, statusUpToDate, statusUpToDate},
		{statusUpToDate, statusOutOfDate, statusOutOfDate},
		{statusHardening, statusOutOfDate, statusOutOfDate},
		{statusConfiguration, statusOutOfDate, statusOutOfDateConfiguration},
		{statusConfigurationHardening, statusOutOfDate, statusOutOfDateConfiguration},
		{statusOutOfDate, statusOutOfDate, statusOutOfDate},
		{statusOutOfDateConfiguration, statusOutOfDate, statusOutOfDateConfiguration},
		{statusOutOfDate, statusUpToDate, statusOutOfDate},
		{statusConfiguration, statusUpToDate, statusConfiguration},
		{statusUpToDate, statusRevoked, statusRevoked},
		{statusRevoked, statusUpToDate, statusRevoked},
	} {
		if got := converge(c[0], c[1]); got != c[2] {
			t.Errorf("%s with %s is %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

// TestDebug: debugging shows in the claims.
func TestDebug(t *testing.T) {
	a := newAuthority(t)
	sgx, tdx := sgxBody(), slices.Clone(bodies["tdx 5"].body)
	sgx[48] |= 2
	tdx[120] |= 1
	for _, body := range [][]byte{sgx, tdx} {
		claims, checks := try(a, a.collateral(a.texts(len(body) != sgxBodySize)), a.quote(5, body), now)
		if !claims.Debug || failed(checks) != "" {
			t.Errorf("debug is %v, failed %q", claims.Debug, failed(checks))
		}
	}
}

// TestRequiredFields: collateral that lacks something is refused, and nothing panics.
func TestRequiredFields(t *testing.T) {
	a := newAuthority(t)
	tcb, qe := a.texts(true)
	for _, m := range []map[string]any{tcb, qe} {
		for key, value := range maps.Clone(m) {
			if key == "tcbEvaluationDataNumber" || key == "tdxModuleIdentities" || key == "tcbType" || key == "isvprodid" {
				continue
			}
			delete(m, key)
			if _, err := NewVerifier(a.root.cert, a.collateral(tcb, qe)); err == nil {
				t.Errorf("without %s it is accepted", key)
			}
			m[key] = value
		}
	}
}

// BenchmarkVerify shows what collateral costs once it was verified: "quote" is the
// quote and the platform's chain alone, "cached" all of it, "first" with the chain and
// the collateral verified anew.
func BenchmarkVerify(b *testing.B) {
	a := newAuthority(b)
	for name, k := range bodies {
		quote, c := a.quote(k.version, k.body), a.collateral(a.texts(len(k.body) != sgxBodySize))
		run := func(kind string, verifier func() *Verifier) {
			b.Run(name+"/"+kind, func(b *testing.B) {
				for b.Loop() {
					q, err := Parse(quote)
					if err != nil {
						b.Fatal(err)
					}
					if _, checks := verifier().Verify(q, now); failed(checks) != "" {
						b.Fatal(failed(checks))
					}
				}
			})
		}
		fresh := func(c *Collateral) func() *Verifier {
			return func() *Verifier {
				v, err := NewVerifier(a.root.cert, c)
				if err != nil {
					b.Fatal(err)
				}
				return v
			}
		}
		cached := fresh(c)()
		run("quote", fresh(nil))
		run("cached", func() *Verifier { return cached })
		run("first", fresh(c))
	}
}

func FuzzParse(f *testing.F) {
	a := newAuthority(f)
	for _, b := range bodies {
		f.Add(a.quote(b.version, b.body))
	}
	f.Add([]byte{})
	v, err := NewVerifier(a.root.cert, a.collateral(a.texts(true)))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := Parse(b)
		if err != nil {
			return
		}
		if _, checks := v.Verify(q, now); len(checks) == 0 {
			t.Error("no checks")
		}
	})
}

func FuzzCollateral(f *testing.F) {
	a := newAuthority(f)
	tcb, qe := a.texts(true)
	c := a.collateral(tcb, qe)
	f.Add(c.TCBInfo, c.QEIdentity, c.PCKCRL, c.PCKCRLIssuerChain)
	f.Add("{}", "{}", "00", "")
	f.Fuzz(func(t *testing.T, tcb, qe, crl, chain string) {
		c := *c
		c.TCBInfo, c.TCBInfoSignature = tcb, hexSign(a, tcb)
		c.QEIdentity, c.QEIdentitySignature = qe, hexSign(a, qe)
		c.PCKCRL, c.PCKCRLIssuerChain = crl, chain
		v, err := NewVerifier(a.root.cert, &c)
		if err != nil {
			return
		}
		q, err := Parse(a.quote(5, bodies["tdx 5"].body))
		if err != nil {
			t.Fatal(err)
		}
		v.Verify(q, now)
	})
}
