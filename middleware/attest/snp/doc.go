// Package snp parses and verifies attestation reports of AMD SEV-SNP guests, of Milan,
// Genoa and Turin processors, signed by a chip's own key (VCEK) or one that AMD gave to a
// cloud (VLEK).
//
// AMD gives out no statement on which firmware is up to date. A policy has to ask for
// least versions ([attest.Policy.MinTCB]: bootloader, tee, snp, microcode, and fmc on
// Turin), or else the state of the machine is unknown.
//
// Formats: SEV Secure Nested Paging Firmware ABI Specification (AMD publication 56860,
// revision 1.58), chapter 7; Versioned Chip Endorsement Key (VCEK) Certificate and KDS
// Interface Specification (57230), chapters 3 and 4.
package snp
