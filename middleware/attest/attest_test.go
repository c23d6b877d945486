package attest

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// good are claims that the policy of TestAppraise wants.
func good() Claims {
	return Claims{
		TEE: "sgx", Measurements: []Measurement{{"mrenclave", Bytes{1, 2}}}, Signer: Bytes{3}, Product: 7, SecurityVersion: 4,
		TCB: TCB{Status: "UpToDate"}, ReportData: Bytes{9, 8, 0, 0},
	}
}

func TestAppraise(t *testing.T) {
	exact := Policy{TEE: "sgx", Measurements: map[string][]Bytes{"mrenclave": {{7}, {1, 2}}}, ReportData: Bytes{9, 8}}
	signed := Policy{Signers: []Bytes{{3}}, Product: 7, SecurityVersion: 4, ReportData: Bytes{9, 8, 0, 0}}
	for name, c := range map[string]struct {
		policy Policy
		change func(*Claims, *Policy)
		tier   Tier
		want   string // the check that is not passed
	}{
		"exact":               {policy: exact, tier: TierAffirming},
		"signed":              {policy: signed, tier: TierAffirming},
		"the zero policy":     {tier: TierContraindicated, want: "policy.identity policy.report_data"},
		"another TEE":         {policy: exact, change: func(c *Claims, _ *Policy) { c.TEE = "tdx" }, tier: TierContraindicated, want: "policy.tee"},
		"another measurement": {policy: exact, change: func(c *Claims, _ *Policy) { c.Measurements[0].Value = Bytes{1, 3} }, tier: TierContraindicated, want: "policy.measurement.mrenclave"},
		"a prefix of it":      {policy: exact, change: func(c *Claims, _ *Policy) { c.Measurements[0].Value = Bytes{1} }, tier: TierContraindicated, want: "policy.measurement.mrenclave"},
		"no measurement":      {policy: exact, change: func(c *Claims, _ *Policy) { c.Measurements = nil }, tier: TierContraindicated, want: "policy.measurement.mrenclave"},
		"an empty one": {policy: exact, change: func(c *Claims, p *Policy) {
			c.Measurements[0].Value, p.Measurements = nil, map[string][]Bytes{"mrenclave": {{}}}
		}, tier: TierContraindicated, want: "policy.measurement.mrenclave"},
		"no value will do":       {policy: exact, change: func(_ *Claims, p *Policy) { p.Measurements = map[string][]Bytes{"mrenclave": nil} }, tier: TierContraindicated, want: "policy.measurement.mrenclave"},
		"another signer":         {policy: signed, change: func(c *Claims, _ *Policy) { c.Signer = Bytes{4} }, tier: TierContraindicated, want: "policy.signer"},
		"no signer":              {policy: signed, change: func(c *Claims, _ *Policy) { c.Signer = nil }, tier: TierContraindicated, want: "policy.signer"},
		"another product":        {policy: signed, change: func(c *Claims, _ *Policy) { c.Product = 8 }, tier: TierContraindicated, want: "policy.product"},
		"an older version":       {policy: signed, change: func(c *Claims, _ *Policy) { c.SecurityVersion = 3 }, tier: TierContraindicated, want: "policy.version"},
		"a newer version":        {policy: signed, change: func(c *Claims, _ *Policy) { c.SecurityVersion = 5 }, tier: TierAffirming},
		"both, and one is wrong": {policy: exact, change: func(_ *Claims, p *Policy) { p.Signers = []Bytes{{4}}; p.Product = 7 }, tier: TierContraindicated, want: "policy.signer"},
		"debug":                  {policy: exact, change: func(c *Claims, _ *Policy) { c.Debug = true }, tier: TierContraindicated, want: "policy.debug"},
		"debug, tolerated":       {policy: exact, change: func(c *Claims, p *Policy) { c.Debug, p.Debug = true, true }, tier: TierWarning, want: "policy.debug"},
		"emulated":               {policy: exact, change: func(c *Claims, _ *Policy) { c.Emulated = true }, tier: TierContraindicated, want: "policy.emulated"},
		"emulated, tolerated":    {policy: exact, change: func(c *Claims, p *Policy) { c.Emulated, p.Emulated = true, true }, tier: TierWarning, want: "policy.emulated"},
		"an old TCB":             {policy: exact, change: func(c *Claims, _ *Policy) { c.TCB.Status = "OutOfDate" }, tier: TierContraindicated, want: "policy.tcb"},
		"an old TCB, tolerated":  {policy: exact, change: func(c *Claims, p *Policy) { c.TCB.Status, p.TCB = "OutOfDate", []string{"OutOfDate"} }, tier: TierWarning, want: "policy.tcb"},
		"a TCB nobody knows":     {policy: exact, change: func(c *Claims, _ *Policy) { c.TCB.Status = "" }, tier: TierNone, want: "policy.tcb"},
		"that, tolerated":        {policy: exact, change: func(c *Claims, p *Policy) { c.TCB.Status, p.TCB = "", []string{""} }, tier: TierNone, want: "policy.tcb"},
		"new enough": {policy: exact, change: func(c *Claims, p *Policy) {
			c.TCB, p.MinTCB = TCB{Components: map[string]uint64{"snp": 8}}, map[string]uint64{"snp": 8}
		}, tier: TierAffirming},
		"too old": {policy: exact, change: func(c *Claims, p *Policy) {
			c.TCB, p.MinTCB = TCB{Components: map[string]uint64{"snp": 7}}, map[string]uint64{"snp": 8}
		}, tier: TierContraindicated, want: "policy.tcb.snp"},
		"not told": {policy: exact, change: func(_ *Claims, p *Policy) { p.MinTCB = map[string]uint64{"snp": 0} }, tier: TierContraindicated, want: "policy.tcb.snp"},
		"new, but revoked": {policy: exact, change: func(c *Claims, p *Policy) {
			c.TCB, p.MinTCB = TCB{Status: "Revoked", Components: map[string]uint64{"snp": 8}}, map[string]uint64{"snp": 8}
		}, tier: TierContraindicated, want: "policy.tcb"},
		"somebody else's nonce":     {policy: exact, change: func(_ *Claims, p *Policy) { p.ReportData = Bytes{9, 7} }, tier: TierContraindicated, want: "policy.report_data"},
		"a prefix of the nonce":     {policy: exact, change: func(_ *Claims, p *Policy) { p.ReportData = Bytes{9} }, tier: TierContraindicated, want: "policy.report_data"},
		"a nonce too long":          {policy: exact, change: func(_ *Claims, p *Policy) { p.ReportData = Bytes{9, 8, 0, 0, 0} }, tier: TierContraindicated, want: "policy.report_data"},
		"an empty nonce, not asked": {policy: exact, change: func(_ *Claims, p *Policy) { p.ReportData = nil }, tier: TierNone, want: "policy.report_data"},
	} {
		t.Run(name, func(t *testing.T) {
			claims, p := good(), c.policy
			if c.change != nil {
				c.change(&claims, &p)
			}
			checks := Appraise(&claims, &p)
			var not []string
			for _, k := range checks {
				if k.Outcome != Passed {
					not = append(not, k.ID)
					if k.Reason == "" {
						t.Errorf("%s does not say why", k.ID)
					}
				}
			}
			if got := strings.Join(not, " "); got != c.want || checks.Tier() != c.tier {
				t.Errorf("not passed: %q, tier %v; want %q, %v", got, checks.Tier(), c.want, c.tier)
			}
		})
	}
}

// TestTier: skipped and failed never read as passed, nor does nothing at all.
func TestTier(t *testing.T) {
	for _, c := range []struct {
		outcomes []Outcome
		want     Tier
	}{
		{nil, TierNone},
		{[]Outcome{Passed}, TierAffirming},
		{[]Outcome{Passed, Warned}, TierWarning},
		{[]Outcome{Passed, Warned, Skipped}, TierNone},
		{[]Outcome{Skipped, Failed, Passed}, TierContraindicated},
		{[]Outcome{Passed, Outcome(9)}, TierContraindicated},
		{[]Outcome{Outcome(0)}, TierContraindicated},
	} {
		var k Checks
		for _, o := range c.outcomes {
			k = append(k, Check{Outcome: o})
		}
		if got := k.Tier(); got != c.want || got.Trusted() != (c.want == TierAffirming || c.want == TierWarning) {
			t.Errorf("%v: %v", c.outcomes, got)
		}
	}
}

// TestVerdictJSON: a verdict can be read back.
func TestVerdictJSON(t *testing.T) {
	claims := good()
	v := Judge("sgx-quote", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), &claims, Checks{{ID: "x", Outcome: Skipped, Reason: "y"}}, &Policy{})
	if v.Tier != TierContraindicated {
		t.Errorf("tier %v", v.Tier)
	}
	b, err := json.Marshal(v.Checks)
	if err != nil {
		t.Fatal(err)
	}
	var back Checks
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, v.Checks) {
		t.Errorf("%v, %+v", err, back)
	}
	if b, err = json.Marshal(v); err != nil || !strings.Contains(string(b), `"tier":"contraindicated"`) || !strings.Contains(string(b), `"value":"0102"`) {
		t.Errorf("%s, %v", b, err)
	}
	if err := json.Unmarshal([]byte(`{"outcome":"fine"}`), new(Check)); err == nil {
		t.Error("an unknown outcome was read")
	}
}
