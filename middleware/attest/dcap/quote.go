package dcap

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrFormat is matched by the error for bytes that are no quote.
var ErrFormat = errors.New("not a DCAP quote")

// MaxQuote is the size of the largest quote that is parsed.
const MaxQuote = 64 << 10

// Kinds of TEE in a quote's header.
const (
	teeSGX = 0x00000000
	teeTDX = 0x00000081
)

// Quote is a parsed quote. Nothing of it has been verified.
//
//	 0 version   uint16     3, 4 or 5
//	 2 key type  uint16     2: ECDSA P-256
//	 4 tee type  uint32     version 3: reserved
//	 8 –         4 bytes    versions 3 and 4: SVN of QE and PCE, or reserved
//	12 vendor    [16]byte   of the quoting enclave
//	28 user data [20]byte
//	48 body                 version 5: type uint16, size uint32, and then the body
//	 – signature uint32, and as many bytes
type Quote struct {
	Version uint16
	Vendor  [16]byte
	SGX     *SGXReport // one of both
	TDX     *TDXReport

	signed    []byte // header and body
	signature [64]byte
	key       [64]byte // that made it: an ECDSA P-256 point
	qeReport  []byte
	qeSigned  [64]byte // by the PCK
	qeAuth    []byte
	chain     []byte // PEM: the PCK's certificates, leaf first
}

// vendorIntel is the quoting enclave vendor of Intel's own.
var vendorIntel = [16]byte{0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07}

const (
	headerSize  = 48
	sgxBodySize = 384
	tdx10Size   = 584
	tdx15Size   = 648
	keyECDSA256 = 2
	certQE      = 6 // certification data: the QE's report, and what certifies it
	certChain   = 5 // certification data: PEM
)

// Types of body in version 5.
const (
	bodySGX   = 1
	bodyTDX10 = 2
	bodyTDX15 = 3
)

// reader takes a quote apart. After the first failure everything is empty.
type reader struct {
	b   []byte
	err error
}

// take returns the next n bytes.
func (r *reader) take(n int, what string) []byte {
	if r.err == nil && (n < 0 || n > len(r.b)) {
		r.err = fmt.Errorf("%w: %s is cut off", ErrFormat, what)
	}
	if r.err != nil {
		return make([]byte, min(max(n, 0), MaxQuote))
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) uint16(what string) uint16 { return binary.LittleEndian.Uint16(r.take(2, what)) }
func (r *reader) uint32(what string) uint32 { return binary.LittleEndian.Uint32(r.take(4, what)) }

// sized returns the bytes that follow their length.
func (r *reader) sized(what string) []byte {
	n := r.uint32("the size of " + what)
	if n > MaxQuote {
		n = MaxQuote + 1 // more than there can be
	}
	return r.take(int(n), what)
}

// fail notes what is wrong, unless something was before.
func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
	}
}

// Parse parses a quote. Zeros may follow it, as some interfaces fill up their buffer;
// anything else may not. Its error matches [ErrFormat].
func Parse(b []byte) (*Quote, error) {
	if len(b) > MaxQuote {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrFormat, len(b), MaxQuote)
	}
	b = append([]byte(nil), b...)
	r := &reader{b: b}
	q := &Quote{}
	q.header(r)
	q.signed = b[:len(b)-len(r.b)]
	q.signatureData(r)
	for _, x := range r.b {
		if x != 0 {
			r.fail("%d bytes follow it", len(r.b))
			break
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return q, nil
}

// header parses header and body.
func (q *Quote) header(r *reader) {
	q.Version = r.uint16("the header")
	if q.Version < 3 || q.Version > 5 {
		r.fail("version %d", q.Version)
	}
	if t := r.uint16("the header"); t != keyECDSA256 {
		r.fail("key type %d, only ECDSA P-256 is known", t)
	}
	tee := r.uint32("the header")
	r.take(4, "the header")
	copy(q.Vendor[:], r.take(16, "the header"))
	r.take(20, "the header")
	if r.err == nil && q.Vendor != vendorIntel {
		r.fail("the quoting enclave is of the unknown vendor %x", q.Vendor)
	}
	switch {
	case q.Version == 3 && tee != teeSGX, tee != teeSGX && tee != teeTDX:
		r.fail("TEE type %#x", tee)
	case q.Version == 5:
		q.typedBody(r, tee)
	case tee == teeSGX:
		q.SGX = parseSGX(r.take(sgxBodySize, "the report"))
	default:
		q.TDX = parseTDX(r.take(tdx10Size, "the report"))
	}
}

// typedBody parses the body of version 5.
func (q *Quote) typedBody(r *reader, tee uint32) {
	kind := r.uint16("the body's type")
	size := r.uint32("the body's size")
	want := map[uint16]uint32{bodySGX: sgxBodySize, bodyTDX10: tdx10Size, bodyTDX15: tdx15Size}[kind]
	if want == 0 || size != want || (kind == bodySGX) != (tee == teeSGX) {
		r.fail("a body of type %d and %d bytes for TEE type %#x", kind, size, tee)
		return
	}
	body := r.take(int(size), "the report")
	if kind == bodySGX {
		q.SGX = parseSGX(body)
	} else {
		q.TDX = parseTDX(body)
	}
}

// signatureData parses what follows the body.
//
//	  0 signature  [64]byte  of header and body, by key
//	 64 key        [64]byte
//	 –  from version 4 on: type uint16 (6), size uint32
//	128 QE report  [384]byte
//	512 signature  [64]byte  of the QE report, by the PCK
//	576 auth data  size uint16, bytes
//	 –  certificates: type uint16 (5), size uint32, PEM
func (q *Quote) signatureData(r *reader) {
	s := &reader{b: r.sized("the signature"), err: r.err}
	copy(q.signature[:], s.take(64, "the signature"))
	copy(q.key[:], s.take(64, "the attestation key"))
	inner := s
	if q.Version >= 4 {
		if t := s.uint16("the certification data"); t != certQE {
			s.fail("certification data of type %d around the quoting enclave's report", t)
		}
		inner = &reader{b: s.sized("the certification data"), err: s.err}
		s.end(inner)
	}
	q.qeReport = inner.take(sgxBodySize, "the quoting enclave's report")
	copy(q.qeSigned[:], inner.take(64, "the quoting enclave's signature"))
	q.qeAuth = inner.take(int(inner.uint16("the authentication data")), "the authentication data")
	if t := inner.uint16("the certificates"); t != certChain {
		inner.fail("certification data of type %d: only certificates are known", t)
	}
	q.chain = inner.sized("the certificates")
	if len(inner.b) > 0 {
		inner.fail("%d bytes follow the certificates", len(inner.b))
	}
	r.err = inner.err
}

// end makes inner the last part of r.
func (r *reader) end(inner *reader) {
	if len(r.b) > 0 {
		inner.fail("%d bytes follow the certification data", len(r.b))
	}
}
