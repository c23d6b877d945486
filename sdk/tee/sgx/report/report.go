// Package report reads what an SGX enclave's evidence says of it: the report body
// (Intel SDM volume 3D, "REPORT"), as it stands in quotes of DCAP. Reading is not
// verifying: whoever made the bytes chose what they say.
package report

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Size is the size of a report's body, in bytes.
const Size = 384

// quoteHeader is the size of what precedes the body in a quote.
const quoteHeader = 48

// MaxQuote is the size of the largest quote that is looked at, in bytes.
const MaxQuote = 64 << 10

// ErrFormat is matched by errors about bytes of the wrong form.
var ErrFormat = errors.New("malformed SGX report")

// Report is what the processor says of an enclave.
type Report struct {
	CPUSVN      [16]byte
	MiscSelect  uint32
	ExtProdID   [16]byte
	Flags, XFRM uint64 // ATTRIBUTES
	MRENCLAVE   [32]byte
	MRSIGNER    [32]byte
	ConfigID    [64]byte
	ProdID      uint16
	SVN         uint16
	ConfigSVN   uint16
	FamilyID    [16]byte
	Data        [64]byte
}

// flagDebug is the one of Flags that says that the enclave can be looked into.
const flagDebug = 1 << 1

// Debug tells whether the enclave can be looked into.
func (r *Report) Debug() bool { return r.Flags&flagDebug != 0 }

// Parse reads a report's body:
//
//	0    CPUSVN (16), MISCSELECT (4), 12 reserved, ISVEXTPRODID (16)
//	48   ATTRIBUTES (16), MRENCLAVE (32), 32 reserved, MRSIGNER (32), 32 reserved
//	192  CONFIGID (64), ISVPRODID (2), ISVSVN (2), CONFIGSVN (2), 42 reserved
//	304  ISVFAMILYID (16), REPORTDATA (64)
func Parse(b []byte) (*Report, error) {
	if len(b) != Size {
		return nil, fmt.Errorf("%w: %d bytes instead of %d", ErrFormat, len(b), Size)
	}
	for _, reserved := range [][2]int{{20, 32}, {96, 128}, {160, 192}, {262, 304}} {
		for i := reserved[0]; i < reserved[1]; i++ {
			if b[i] != 0 {
				return nil, fmt.Errorf("%w: %#02x at offset %d, which is reserved", ErrFormat, b[i], i)
			}
		}
	}
	le := binary.LittleEndian
	return &Report{
		CPUSVN: [16]byte(b[:16]), MiscSelect: le.Uint32(b[16:]), ExtProdID: [16]byte(b[32:48]),
		Flags: le.Uint64(b[48:]), XFRM: le.Uint64(b[56:]),
		MRENCLAVE: [32]byte(b[64:96]), MRSIGNER: [32]byte(b[128:160]),
		ConfigID: [64]byte(b[192:256]), ProdID: le.Uint16(b[256:]), SVN: le.Uint16(b[258:]), ConfigSVN: le.Uint16(b[260:]),
		FamilyID: [16]byte(b[304:320]), Data: [64]byte(b[320:384]),
	}, nil
}

// FromQuote reads the report's body in a quote of DCAP, version 3. The rest of the
// quote is not looked at.
func FromQuote(quote []byte) (*Report, error) {
	if len(quote) < quoteHeader+Size || len(quote) > MaxQuote {
		return nil, fmt.Errorf("%w: a quote of %d bytes", ErrFormat, len(quote))
	}
	if v := binary.LittleEndian.Uint16(quote); v != 3 {
		return nil, fmt.Errorf("%w: a quote of version %d instead of 3", ErrFormat, v)
	}
	return Parse(quote[quoteHeader : quoteHeader+Size])
}
