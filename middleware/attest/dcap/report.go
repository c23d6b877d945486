package dcap

import "encoding/binary"

// SGXReport is the body of an enclave's report (SDM volume 3D, section 38.15, table
// 38-21; 384 bytes).
type SGXReport struct {
	CPUSVN     [16]byte
	MiscSelect uint32   // offset 16
	Attributes [16]byte // 48
	MREnclave  [32]byte // 64
	MRSigner   [32]byte // 128
	ProdID     uint16   // 256
	SVN        uint16   // 258
	ReportData [64]byte // 320
}

// Debug tells whether the enclave's memory can be read from outside.
func (r *SGXReport) Debug() bool { return r.Attributes[0]&2 != 0 }

// initialised tells whether the report is of an enclave that was.
func (r *SGXReport) initialised() bool { return r.Attributes[0]&1 != 0 }

// parseSGX parses sgxBodySize bytes.
func parseSGX(b []byte) *SGXReport {
	r := &SGXReport{
		MiscSelect: binary.LittleEndian.Uint32(b[16:]),
		ProdID:     binary.LittleEndian.Uint16(b[256:]),
		SVN:        binary.LittleEndian.Uint16(b[258:]),
	}
	copy(r.CPUSVN[:], b)
	copy(r.Attributes[:], b[48:])
	copy(r.MREnclave[:], b[64:])
	copy(r.MRSigner[:], b[128:])
	copy(r.ReportData[:], b[320:])
	return r
}

// TDXReport is the body of a guest's report (584 bytes; with TDX 1.5's part 648).
type TDXReport struct {
	TCBSVN         [16]byte // TEE_TCB_SVN
	MRSEAM         [48]byte // offset 16
	MRSignerSEAM   [48]byte // 64
	SEAMAttributes [8]byte  // 112
	Attributes     [8]byte  // 120
	XFAM           [8]byte  // 128
	MRTD           [48]byte // 136
	MRConfigID     [48]byte // 184
	MROwner        [48]byte // 232
	MROwnerConfig  [48]byte // 280
	RTMR           [4][48]byte
	ReportData     [64]byte // 520

	TDX15     bool     // what follows is there
	TCBSVN2   [16]byte // 584: of the TDX module that runs now
	MRService [48]byte // 600
}

// Debug tells whether the guest's memory can be read from outside. The other bits of
// that byte (TUD) must be zero and mean as much if they are not.
func (r *TDXReport) Debug() bool { return r.Attributes[0] != 0 }

// parseTDX parses tdx10Size or tdx15Size bytes.
func parseTDX(b []byte) *TDXReport {
	r := &TDXReport{TDX15: len(b) == tdx15Size}
	fields := [][]byte{
		r.TCBSVN[:], r.MRSEAM[:], r.MRSignerSEAM[:], r.SEAMAttributes[:], r.Attributes[:], r.XFAM[:], r.MRTD[:],
		r.MRConfigID[:], r.MROwner[:], r.MROwnerConfig[:], r.RTMR[0][:], r.RTMR[1][:], r.RTMR[2][:], r.RTMR[3][:], r.ReportData[:],
	}
	if r.TDX15 {
		fields = append(fields, r.TCBSVN2[:], r.MRService[:])
	}
	for _, f := range fields {
		b = b[copy(f, b):]
	}
	return r
}
