// Package attest is the vocabulary of attestation: what a relying party is told of
// evidence from any trusted execution environment.
//
// Evidence is dealt with in three steps, which never mix. A package below this one,
// one for each format, parses it (strictly, within bounds) and verifies it: signatures,
// chains, revocation, times. What it says is then in [Claims], which have one shape for
// all, and [Appraise] holds them against a [Policy]. Each step leaves [Checks] behind,
// and the verdict is the list of them: what was compared with what, and what came of it.
// What could not be looked at is listed as skipped, and skipped is not passed.
//
// Nothing here, and nothing in the packages below, uses a network or a clock: the time
// to verify at is an argument, and so is whatever endorses the evidence.
//
// Words are those of RFC 9334; tiers of trust those of EAR (draft-ietf-rats-ear).
package attest
