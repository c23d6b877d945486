package attest

import "time"

// Verdict is what a relying party is told.
type Verdict struct {
	Tier   Tier      `json:"tier"`
	Format string    `json:"format"` // of the evidence
	At     time.Time `json:"at"`     // when it was verified, as the verifier was told
	Claims *Claims   `json:"claims,omitempty"`
	Checks Checks    `json:"checks"`
}

// Judge appraises what verification has found, and says what all checks say together.
func Judge(format string, at time.Time, claims *Claims, verified Checks, p *Policy) Verdict {
	checks := append(Checks(nil), verified...)
	checks = append(checks, Appraise(claims, p)...)
	return Verdict{Tier: checks.Tier(), Format: format, At: at, Claims: claims, Checks: checks}
}
