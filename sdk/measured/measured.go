// Package measured is the vocabulary of measured start: what is written into a
// register before an image runs ([Event]), the log that explains the register's
// value ([Log]), and evidence that a TPM or a TEE's own report signed for it
// ([Evidence]).
//
// A register can only be extended: its new value is the hash of the old one and
// a digest. So whoever is shown a register's value by somebody trusted (a TPM's
// quote, a TDX report), and a log that leads to this value, knows everything that
// was ever measured into it, and that nothing was left out.
//
// The package has no device and no network in it, and what it parses may be
// anything. Whether the signers are to be trusted is not its business.
package measured

import "errors"

// ErrFormat is matched by errors about bytes that are not what they should be.
var ErrFormat = errors.New("malformed measurement")

// ErrMismatch is matched by errors about evidence in which one part contradicts
// another.
var ErrMismatch = errors.New("evidence contradicts itself")

// PCR is the TPM register that images are measured into. Linux's registry of
// PCRs has it for extensions of the system, which are measured before the system
// starts; it can't be reset while the machine runs.
const PCR = 13

// RTMR is the register of TDX that images are measured into, the one that is
// left to applications.
const RTMR = 3
