package snp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrFormat is matched by the error for bytes that are no report.
var ErrFormat = errors.New("not an SEV-SNP attestation report")

// Size is the size of a report in bytes.
const Size = 1184

// signedSize is how much of it is signed.
const signedSize = 0x2a0

// Report is a parsed report. Nothing of it has been verified.
//
//	  0 version      uint32       2 to 5
//	  4 guest SVN    uint32
//	  8 policy       uint64
//	 10 family id    [16]byte     all numbers are little-endian, offsets hexadecimal
//	 20 image id     [16]byte
//	 30 VMPL         uint32
//	 34 algorithm    uint32       1: ECDSA P-384 with SHA-384
//	 38 current TCB  uint64
//	 40 platform     uint64
//	 48 key          uint32       bit 1: the chip's id is hidden; bits 2–4: 0 VCEK, 1 VLEK
//	 50 report data  [64]byte
//	 90 measurement  [48]byte
//	 c0 host data    [32]byte
//	 e0 id key       [48]byte     digests
//	110 author key   [48]byte
//	140 report id    [32]byte
//	160 its agent's  [32]byte     all ones: none
//	180 reported TCB uint64
//	188 family, model, stepping   of the processor, from version 3 on
//	1a0 chip id      [64]byte
//	1e0 committed TCB uint64
//	1f0 launch TCB   uint64
//	2a0 signature    R and S, 72 bytes each
type Report struct {
	Version       uint32
	GuestSVN      uint32
	Policy        uint64
	FamilyID      [16]byte
	ImageID       [16]byte
	VMPL          uint32
	CurrentTCB    uint64
	Platform      uint64
	Key           uint32
	ReportData    [64]byte
	Measurement   [48]byte
	HostData      [32]byte
	IDKey         [48]byte
	AuthorKey     [48]byte
	ReportID      [32]byte
	AgentReportID [32]byte
	ReportedTCB   uint64
	CPUID         [3]byte // family, model, stepping; zeros in version 2
	ChipID        [64]byte
	CommittedTCB  uint64
	LaunchTCB     uint64

	signed    []byte
	signature []byte
}

// Bits of a report's policy.
const (
	policyMigratable = 1 << 18
	policyDebug      = 1 << 19
)

// What a report's key word says.
const (
	keyMaskChip = 1 << 1
	keyVLEK     = 1
	keyNone     = 7
)

// Debug tells whether the host can look inside.
func (r *Report) Debug() bool { return r.Policy&policyDebug != 0 }

// Migratable tells whether an agent can move the guest to other machines.
func (r *Report) Migratable() bool { return r.Policy&policyMigratable != 0 }

// signer is the kind of key that signed.
func (r *Report) signer() uint32 { return r.Key >> 2 & 7 }

// Parse parses a report. Its error matches [ErrFormat].
func Parse(b []byte) (*Report, error) {
	if len(b) != Size {
		return nil, fmt.Errorf("%w: %d bytes instead of %d", ErrFormat, len(b), Size)
	}
	b = append([]byte(nil), b...)
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	r := &Report{
		Version: u32(0), GuestSVN: u32(4), Policy: u64(8), VMPL: u32(0x30), CurrentTCB: u64(0x38), Platform: u64(0x40),
		Key: u32(0x48), ReportedTCB: u64(0x180), CommittedTCB: u64(0x1e0), LaunchTCB: u64(0x1f0),
		signed: b[:signedSize], signature: b[signedSize:],
	}
	copy(r.FamilyID[:], b[0x10:])
	copy(r.ImageID[:], b[0x20:])
	copy(r.ReportData[:], b[0x50:])
	copy(r.Measurement[:], b[0x90:])
	copy(r.HostData[:], b[0xc0:])
	copy(r.IDKey[:], b[0xe0:])
	copy(r.AuthorKey[:], b[0x110:])
	copy(r.ReportID[:], b[0x140:])
	copy(r.AgentReportID[:], b[0x160:])
	copy(r.ChipID[:], b[0x1a0:])
	switch r.Version {
	case 2:
	case 3, 4, 5:
		copy(r.CPUID[:], b[0x188:])
	default:
		return nil, fmt.Errorf("%w: version %d", ErrFormat, r.Version)
	}
	if a := u32(0x34); a != 1 {
		return nil, fmt.Errorf("%w: signature algorithm %d, only 1 (ECDSA P-384 with SHA-384) is known", ErrFormat, a)
	}
	return r, r.check()
}

// check refuses what no firmware writes.
func (r *Report) check() error {
	if r.Policy&(1<<17) == 0 {
		return fmt.Errorf("%w: bit 17 of the policy must be set", ErrFormat)
	}
	if r.VMPL > 3 {
		return fmt.Errorf("%w: VMPL %d", ErrFormat, r.VMPL)
	}
	for _, x := range r.signature[2*72:] {
		if x != 0 {
			return fmt.Errorf("%w: bytes follow the signature", ErrFormat)
		}
	}
	return nil
}
