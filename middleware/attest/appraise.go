package attest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Policy is what a relying party wants of an attester. The zero Policy trusts
// nobody: it names nothing that may run.
type Policy struct {
	// TEE, if not empty, is the only kind of TEE that will do.
	TEE string `json:"tee,omitempty"`

	// Measurements are, by name, the values that will do. Each name must be among
	// the claims, with one of its values.
	Measurements map[string][]Bytes `json:"measurements,omitempty"`

	// Signers are those whose programs will do, if they have Product and at least
	// SecurityVersion. Either Measurements or Signers must be given.
	Signers         []Bytes `json:"signers,omitempty"`
	Product         uint64  `json:"product,omitempty"`
	SecurityVersion uint64  `json:"security_version,omitempty"`

	// ReportData is what the attester must have bound to the evidence, compared
	// whole; shorter than what a TEE binds, it is followed by zeros. Nil: it is not
	// looked at, and anybody's evidence will do, however old.
	ReportData Bytes `json:"report_data,omitempty"`

	// TCB are the manufacturer's states that are tolerated beside "UpToDate".
	TCB []string `json:"tcb,omitempty"`

	// MinTCB is the least that will do of components of the TCB, by name. It must be
	// given where a manufacturer says no state (AMD).
	MinTCB map[string]uint64 `json:"min_tcb,omitempty"`

	// Debug and Emulated tolerate what protects nothing.
	Debug    bool `json:"debug,omitempty"`
	Emulated bool `json:"emulated,omitempty"`
}

// upToDate is the state of a TCB without known weaknesses.
const upToDate = "UpToDate"

// Appraise holds claims against what p wants. Whether the claims are true is not its
// concern: that is what the checks of verification say, which come before these.
func Appraise(c *Claims, p *Policy) Checks {
	var k Checks
	if p.TEE != "" && c.TEE != p.TEE {
		k.Fail("policy.tee", "kind of TEE", p.TEE, c.TEE, "the policy wants another one")
	} else {
		k.Pass("policy.tee", "kind of TEE", c.TEE)
	}
	k.tolerate("policy.debug", "debugging", c.Debug, p.Debug, "the owner of the machine can look inside")
	k.tolerate("policy.emulated", "emulation", c.Emulated, p.Emulated, "there is no TEE, and no protection")
	k.tcb(&c.TCB, p)
	k.identity(c, p)
	k.reportData(c.ReportData, p.ReportData)
	return k
}

// tolerate notes something that should not be.
func (c *Checks) tolerate(id, subject string, found, tolerated bool, reason string) {
	switch {
	case !found:
		c.Pass(id, subject, "no")
	case tolerated:
		c.Warn(id, subject, "yes", "tolerated by the policy, although "+reason)
	default:
		c.Fail(id, subject, "no", "yes", reason)
	}
}

// tcb notes the state of the TCB.
func (c *Checks) tcb(t *TCB, p *Policy) {
	for _, name := range slices.Sorted(maps.Keys(p.MinTCB)) {
		c.component(name, t.Components, p.MinTCB[name])
	}
	if t.Status != "" || len(p.MinTCB) == 0 {
		c.state(t, p.TCB)
	}
}

// component notes whether one component of the TCB is new enough.
func (c *Checks) component(name string, found map[string]uint64, least uint64) {
	id, subject, expected := "policy.tcb."+name, "version of "+name, fmt.Sprintf("at least %d", least)
	switch v, ok := found[name]; {
	case !ok:
		c.Fail(id, subject, expected, "", "the evidence does not tell it")
	case v < least:
		c.Fail(id, subject, expected, fmt.Sprint(v), "it is too old: update the machine")
	default:
		c.Pass(id, subject, fmt.Sprint(v))
	}
}

// state notes the manufacturer's word on the TCB.
func (c *Checks) state(t *TCB, tolerated []string) {
	const id, subject = "policy.tcb", "state of hardware and firmware"
	known := ""
	if len(t.Advisories) > 0 {
		known = "; known weaknesses: " + strings.Join(t.Advisories, ", ")
	}
	switch {
	case t.Status == upToDate:
		c.Pass(id, subject, t.Status)
	case t.Status == "":
		c.Skip(id, subject, "nobody has said what it is: collateral is missing, or the policy has to ask for least versions (min_tcb)")
	case slices.Contains(tolerated, t.Status):
		c.Warn(id, subject, t.Status, "tolerated by the policy"+known)
	default:
		c.Fail(id, subject, strings.Join(append([]string{upToDate}, tolerated...), ", "), t.Status,
			"update the machine, or have the policy tolerate this state"+known)
	}
}

// identity notes whether what runs is what may run.
func (c *Checks) identity(claims *Claims, p *Policy) {
	if len(p.Measurements) == 0 && len(p.Signers) == 0 {
		c.Fail("policy.identity", "what runs", "", "", "the policy names no measurement and no signer: it would trust anything")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(p.Measurements)) {
		c.oneOf("policy.measurement."+name, name, p.Measurements[name], claims.Measurement(name))
	}
	if len(p.Signers) == 0 {
		return
	}
	c.oneOf("policy.signer", "signer", p.Signers, claims.Signer)
	if claims.Product != p.Product {
		c.Fail("policy.product", "product", fmt.Sprint(p.Product), fmt.Sprint(claims.Product), "it is another product of the signer's")
	} else {
		c.Pass("policy.product", "product", fmt.Sprint(p.Product))
	}
	if claims.SecurityVersion < p.SecurityVersion {
		c.Fail("policy.version", "security version", fmt.Sprintf("at least %d", p.SecurityVersion), fmt.Sprint(claims.SecurityVersion), "it is too old")
	} else {
		c.Pass("policy.version", "security version", fmt.Sprint(claims.SecurityVersion))
	}
}

// oneOf notes whether found is one of the values that will do.
func (c *Checks) oneOf(id, subject string, wanted []Bytes, found Bytes) {
	texts := make([]string, len(wanted))
	for i, w := range wanted {
		texts[i] = w.String()
	}
	expected := strings.Join(texts, " or ")
	switch {
	case len(found) == 0:
		c.Fail(id, subject, expected, "", "the evidence does not tell it")
	case slices.ContainsFunc(wanted, func(w Bytes) bool { return bytes.Equal(w, found) }):
		c.Pass(id, subject, found.String())
	default:
		c.Fail(id, subject, expected, found.String(), "it is none that the policy names")
	}
}

// reportData notes whether the evidence was made for us.
func (c *Checks) reportData(found, expected Bytes) {
	const id, subject = "policy.report_data", "what the evidence was made for"
	switch {
	case expected == nil:
		c.Skip(id, subject, "the policy does not say what: the evidence may be old, or somebody else's")
	case len(expected) > len(found):
		c.Fail(id, subject, expected.String(), found.String(), "the TEE binds fewer bytes than that")
	default:
		whole := make([]byte, len(found))
		copy(whole, expected)
		c.Equal(id, subject, whole, found)
	}
}
