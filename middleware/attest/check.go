package attest

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
)

// Outcome is what came of a check. The zero Outcome is [Failed].
type Outcome uint8

// Outcomes.
const (
	Failed  Outcome = iota
	Skipped         // it could not be looked at; Reason says what was missing
	Warned          // passed, but only because the policy tolerates what was found
	Passed
)

var outcomes = [...]string{"fail", "skipped", "warn", "pass"}

// String is the word for it in JSON.
func (o Outcome) String() string {
	if int(o) < len(outcomes) {
		return outcomes[o]
	}
	return outcomes[Failed]
}

// MarshalText implements [encoding.TextMarshaler].
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (o *Outcome) UnmarshalText(text []byte) error {
	i := slices.Index(outcomes[:], string(text))
	if i < 0 {
		return fmt.Errorf("outcome %q is unknown", text)
	}
	*o = Outcome(i)
	return nil
}

// Check is one thing that was looked at. Texts may come from the evidence, and so
// from an attacker: they are to be cleaned before they go to a terminal.
type Check struct {
	ID       string  `json:"id"`                 // which check, for programs: "quote.signature"
	Subject  string  `json:"subject"`            // what was looked at, for people
	Expected string  `json:"expected,omitempty"` // what it was compared with
	Found    string  `json:"found,omitempty"`
	Outcome  Outcome `json:"outcome"`
	Reason   string  `json:"reason,omitempty"` // why it did not pass, and what to do
}

// Checks are what was looked at, in this order.
type Checks []Check

// Pass notes that subject is as it should be.
func (c *Checks) Pass(id, subject, found string) {
	*c = append(*c, Check{ID: id, Subject: subject, Found: found, Outcome: Passed})
}

// Fail notes that subject is not as it should be.
func (c *Checks) Fail(id, subject, expected, found, reason string) {
	*c = append(*c, Check{ID: id, Subject: subject, Expected: expected, Found: found, Outcome: Failed, Reason: reason})
}

// Skip notes that subject could not be looked at.
func (c *Checks) Skip(id, subject, reason string) {
	*c = append(*c, Check{ID: id, Subject: subject, Outcome: Skipped, Reason: reason})
}

// Warn notes that subject is tolerated.
func (c *Checks) Warn(id, subject, found, reason string) {
	*c = append(*c, Check{ID: id, Subject: subject, Found: found, Outcome: Warned, Reason: reason})
}

// Err notes that looking at subject ended with err, or that it is as it should be if
// err is nil, and returns whether it is.
func (c *Checks) Err(id, subject string, err error) bool {
	if err != nil {
		c.Fail(id, subject, "", "", err.Error())
		return false
	}
	c.Pass(id, subject, "")
	return true
}

// Equal notes whether subject is what was expected, whole, and returns that.
func (c *Checks) Equal(id, subject string, expected, found []byte) bool {
	equal := bytes.Equal(expected, found)
	check := Check{ID: id, Subject: subject, Expected: hex.EncodeToString(expected), Found: hex.EncodeToString(found), Outcome: Passed}
	if !equal {
		check.Outcome, check.Reason = Failed, "they differ"
	}
	*c = append(*c, check)
	return equal
}

// Tier is how far an attester can be trusted, as EAR has it (draft-ietf-rats-ear,
// section 3.2, and draft-ietf-rats-ar4si, section 2.3.2).
type Tier uint8

// Tiers, with EAR's numbers.
const (
	TierNone            Tier = 0  // nothing can be said: something could not be looked at
	TierAffirming       Tier = 2  // all that was looked at is as it should be
	TierWarning         Tier = 32 // so it is, but for what the policy tolerates
	TierContraindicated Tier = 96 // something is not as it should be
)

// String is EAR's word for it.
func (t Tier) String() string {
	switch t {
	case TierAffirming:
		return "affirming"
	case TierWarning:
		return "warning"
	case TierContraindicated:
		return "contraindicated"
	}
	return "none"
}

// MarshalText implements [encoding.TextMarshaler].
func (t Tier) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Trusted tells whether everything was looked at, and is as it should be or
// tolerated.
func (t Tier) Trusted() bool { return t == TierAffirming || t == TierWarning }

// Tier is what the checks say together. Without any, that is nothing.
func (c Checks) Tier() Tier {
	if len(c) == 0 {
		return TierNone
	}
	has := func(o Outcome) bool { return slices.ContainsFunc(c, func(k Check) bool { return k.Outcome == o }) }
	switch {
	case slices.ContainsFunc(c, func(k Check) bool { return k.Outcome == Failed || k.Outcome > Passed }):
		return TierContraindicated
	case has(Skipped):
		return TierNone
	case has(Warned):
		return TierWarning
	}
	return TierAffirming
}
