package dcap

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/secgear/secgear/middleware/attest"
)

// vector reads real evidence, which is not part of the project.
func vector(t testing.TB, name string) []byte {
	t.Helper()
	dir := os.Getenv("SECGEAR_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "vectors")
	}
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Skipf("there is no %s here: set SECGEAR_VECTORS to the folder of real evidence", name)
	}
	return b
}

// real returns a real quote and its collateral.
func real(t testing.TB, quote, collateral string) (*Quote, *Collateral) {
	t.Helper()
	q, err := Parse(vector(t, quote))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseCollateral(vector(t, collateral))
	if err != nil {
		t.Fatal(err)
	}
	return q, c
}

func TestVectors(t *testing.T) {
	at := time.Date(2025, 6, 25, 0, 0, 0, 0, time.UTC)
	for _, v := range []struct{ quote, collateral, tee, status string }{
		{"sgx/sgx_quote", "sgx/sgx_quote_collateral.json", "sgx", "ConfigurationAndSWHardeningNeeded"},
		{"tdx/tdx_quote", "tdx/tdx_quote_collateral.json", "tdx", "UpToDate"},
	} {
		t.Run(v.tee, func(t *testing.T) {
			q, c := real(t, v.quote, v.collateral)
			verifier, err := NewVerifier(IntelRoot(), c)
			if err != nil {
				t.Fatal(err)
			}
			claims, checks := verifier.Verify(q, at)
			for _, k := range checks {
				t.Logf("%-16s %-8s %s %s %s", k.ID, k.Outcome, k.Subject, k.Found, k.Reason)
			}
			t.Logf("%+v", claims)
			if checks.Tier() != attest.TierAffirming || claims.TEE != v.tee || claims.TCB.Status != v.status {
				t.Errorf("%v, %s, %s", checks.Tier(), claims.TEE, claims.TCB.Status)
			}
		})
	}
}

// TestVersion5 verifies a real quote of version 5, for which there is no collateral: what
// can be looked at is right, and it is not trusted.
func TestVersion5(t *testing.T) {
	q, err := Parse(vector(t, "tdx/quote_v5_sample.dat"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifier(IntelRoot(), nil)
	if err != nil {
		t.Fatal(err)
	}
	claims, checks := v.Verify(q, time.Date(2026, 6, 25, 0, 0, 0, 0, time.UTC))
	if q.Version != 5 || claims.TEE != "tdx" || failed(checks) != "" || checks.Tier() != attest.TierNone {
		t.Errorf("version %d, %s, failed %q, tier %v", q.Version, claims.TEE, failed(checks), checks.Tier())
	}
}
