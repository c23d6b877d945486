package dcap

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"slices"
	"testing"
	"time"
)

// now is when everything that the authority makes is valid.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// authority plays Intel, a platform and its quoting enclave.
type authority struct {
	t                            testing.TB
	root, platform, tcbSigner    *signer
	pck                          *signer
	attestation                  *ecdsa.PrivateKey
	fmspc                        []byte
	components                   [16]byte
	pceSVN                       int
	revokedPCK, revokedTCBSigner bool
}

type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var serial int64

// issue makes a certificate by issuer, by itself if that is nil.
func issue(t testing.TB, name string, ca bool, issuer *signer, extra ...pkix.Extension) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(5, 0, 0),
		IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtraExtensions: extra,
	}
	if ca {
		template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	s := &signer{template, key}
	if issuer == nil {
		issuer = s
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.cert, &key.PublicKey, issuer.key)
	if err == nil {
		s.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t, fmspc: []byte{1, 2, 3, 4, 5, 6}, pceSVN: 11}
	for i := range a.components {
		a.components[i] = 5
	}
	a.root = issue(t, "Root CA", true, nil)
	a.platform = issue(t, "Platform CA", true, a.root)
	a.tcbSigner = issue(t, tcbSigner, false, a.root)
	a.certify()
	var err error
	if a.attestation, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	return a
}

// certify makes the platform's certificate anew.
func (a *authority) certify() {
	a.pck = issue(a.t, "PCK Certificate", false, a.platform, pkix.Extension{Id: oidSGX, Value: a.extension()})
}

// extension is that of the platform's certificate.
func (a *authority) extension() []byte {
	der := func(v any) asn1.RawValue {
		b, err := asn1.Marshal(v)
		if err != nil {
			a.t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: b}
	}
	arc := func(parent asn1.ObjectIdentifier, i int) asn1.ObjectIdentifier {
		return append(slices.Clone(parent), i)
	}
	var tcb []field
	for i, c := range a.components {
		tcb = append(tcb, field{arc(oidTCB, i+1), der(int(c))})
	}
	tcb = append(tcb, field{arc(oidTCB, 17), der(a.pceSVN)}, field{arc(oidTCB, 18), der(a.components[:])})
	return der([]field{
		{arc(oidSGX, 1), der(make([]byte, 16))},
		{oidTCB, der(tcb)},
		{oidPCEID, der([]byte{0, 0})},
		{oidFMSPC, der(a.fmspc)},
		{arc(oidSGX, 5), der(asn1.Enumerated(0))},
	}).FullBytes
}

func chainPEM(signers ...*signer) string {
	var out []byte
	for _, s := range signers {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Raw})...)
	}
	return string(out)
}

// sign returns the 64 bytes of a signature.
func (a *authority) sign(key *ecdsa.PrivateKey, msg []byte) []byte {
	hash := sha256.Sum256(msg)
	r, s, err := ecdsa.Sign(rand.Reader, key, hash[:])
	if err != nil {
		a.t.Fatal(err)
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

// qeSVN is the quoting enclave's version, qeSigner who signed it.
const qeSVN = 8

var qeSigner = sha256.Sum256([]byte("quoting enclave"))

// sgxBody is a report with something in each field.
func sgxBody() []byte {
	b := make([]byte, sgxBodySize)
	b[48] = 5 // initialised, 64 bit
	copy(b[64:], slices.Repeat([]byte{0xee}, 32))
	copy(b[128:], slices.Repeat([]byte{0x55}, 32))
	binary.LittleEndian.PutUint16(b[256:], 7)
	binary.LittleEndian.PutUint16(b[258:], 3)
	copy(b[320:], "nonce")
	return b
}

// tdxBody is a guest's report, by a module of that security version and version.
func tdxBody(size int, svn, version byte) []byte {
	b := make([]byte, size)
	copy(b, slices.Repeat([]byte{5}, 16))
	b[0], b[1] = svn, version
	copy(b[136:], slices.Repeat([]byte{0xd1}, 48))
	copy(b[520:], "nonce")
	return b
}

// quote makes a quote of a body.
func (a *authority) quote(version int, body []byte) []byte {
	h := make([]byte, headerSize)
	binary.LittleEndian.PutUint16(h, uint16(version))
	h[2] = keyECDSA256
	kind, product := uint16(bodySGX), uint16(1)
	if len(body) != sgxBodySize {
		h[4], kind, product = teeTDX, bodyTDX10, 2
		if len(body) == tdx15Size {
			kind = bodyTDX15
		}
	}
	copy(h[12:], vendorIntel[:])
	signed := h
	if version == 5 {
		signed = binary.LittleEndian.AppendUint16(signed, kind)
		signed = binary.LittleEndian.AppendUint32(signed, uint32(len(body)))
	}
	signed = append(signed, body...)

	key := append(a.attestation.X.FillBytes(make([]byte, 32)), a.attestation.Y.FillBytes(make([]byte, 32))...)
	auth := []byte("auth")
	qe := make([]byte, sgxBodySize)
	qe[48] = 0x11
	copy(qe[128:], qeSigner[:])
	binary.LittleEndian.PutUint16(qe[256:], product)
	binary.LittleEndian.PutUint16(qe[258:], qeSVN)
	bound := sha256.Sum256(append(slices.Clone(key), auth...))
	copy(qe[320:], bound[:])

	inner := append(slices.Clone(qe), a.sign(a.pck.key, qe)...)
	inner = binary.LittleEndian.AppendUint16(inner, uint16(len(auth)))
	inner = append(inner, auth...)
	inner = binary.LittleEndian.AppendUint16(inner, certChain)
	certs := chainPEM(a.pck, a.platform, a.root)
	inner = binary.LittleEndian.AppendUint32(inner, uint32(len(certs)))
	inner = append(inner, certs...)
	data := append(a.sign(a.attestation, signed), key...)
	if version >= 4 {
		data = binary.LittleEndian.AppendUint16(data, certQE)
		data = binary.LittleEndian.AppendUint32(data, uint32(len(inner)))
	}
	data = append(data, inner...)
	signed = binary.LittleEndian.AppendUint32(signed, uint32(len(data)))
	return append(signed, data...)
}

// levels are those of TCB info: of all components at least each of versions, with the
// state of the same place.
func levels(tdx bool, versions []int, states []string) []any {
	var out []any
	for i, v := range versions {
		parts := func() []any {
			return slices.Repeat([]any{map[string]any{"svn": v}}, 16)
		}
		tcb := map[string]any{"sgxtcbcomponents": parts(), "pcesvn": v}
		if tdx {
			tcb["tdxtcbcomponents"] = parts()
			tcb["tdxtcbcomponents"].([]any)[1] = map[string]any{"svn": 0} // the module's version is none
		}
		out = append(out, map[string]any{"tcb": tcb, "tcbDate": "2026-01-01T00:00:00Z", "tcbStatus": states[i], "advisoryIDs": []string{"TEST-" + states[i]}})
	}
	return out
}

func svnLevels(svn int, state string) []any {
	return []any{
		map[string]any{"tcb": map[string]any{"isvsvn": svn}, "tcbDate": "2025-12-01T00:00:00Z", "tcbStatus": state},
		map[string]any{"tcb": map[string]any{"isvsvn": 1}, "tcbDate": "2024-12-01T00:00:00Z", "tcbStatus": statusOutOfDate},
	}
}

// texts are TCB info and QE identity before they are signed.
func (a *authority) texts(tdx bool) (tcb, qe map[string]any) {
	dates := func(m map[string]any) map[string]any {
		m["issueDate"], m["nextUpdate"] = now.AddDate(0, 0, -10).Format(time.RFC3339), now.AddDate(0, 0, 20).Format(time.RFC3339)
		return m
	}
	id, qeID, product := "SGX", "QE", 1
	zero := func(n int) string { return hex.EncodeToString(make([]byte, n)) }
	tcb = dates(map[string]any{
		"version": 3, "fmspc": hex.EncodeToString(a.fmspc), "pceId": "0000", "tcbType": 0, "tcbEvaluationDataNumber": 17,
		"tcbLevels": levels(tdx, []int{5, 4, 1}, []string{statusUpToDate, statusConfiguration, statusOutOfDate}),
	})
	if tdx {
		id, qeID, product = "TDX", "TD_QE", 2
		module := map[string]any{"mrsigner": zero(48), "attributes": zero(8), "attributesMask": "FFFFFFFFFFFFFFFF"}
		tcb["tdxModule"] = module
		tcb["tdxModuleIdentities"] = []any{map[string]any{
			"id": "TDX_01", "mrsigner": zero(48), "attributes": zero(8), "attributesMask": "FFFFFFFFFFFFFFFF", "tcbLevels": svnLevels(4, statusUpToDate),
		}}
	}
	tcb["id"] = id
	qe = dates(map[string]any{
		"id": qeID, "version": 2, "tcbEvaluationDataNumber": 17, "miscselect": "00000000", "miscselectMask": "FFFFFFFF",
		"attributes": "11000000000000000000000000000000", "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
		"mrsigner": hex.EncodeToString(qeSigner[:]), "isvprodid": product, "tcbLevels": svnLevels(qeSVN, statusUpToDate),
	})
	return tcb, qe
}

// collateral signs texts, and lists of revoked certificates.
func (a *authority) collateral(tcb, qe map[string]any) *Collateral {
	signed := func(m map[string]any) (text, signature string) {
		b, err := json.Marshal(m)
		if err != nil {
			a.t.Fatal(err)
		}
		return string(b), hex.EncodeToString(a.sign(a.tcbSigner.key, b))
	}
	c := &Collateral{
		PCKCRLIssuerChain: chainPEM(a.platform, a.root), TCBInfoIssuerChain: chainPEM(a.tcbSigner, a.root), QEIdentityIssuerChain: chainPEM(a.tcbSigner, a.root),
		RootCACRL: a.crl(a.root, a.tcbSigner, a.revokedTCBSigner), PCKCRL: a.crl(a.platform, a.pck, a.revokedPCK),
	}
	c.TCBInfo, c.TCBInfoSignature = signed(tcb)
	c.QEIdentity, c.QEIdentitySignature = signed(qe)
	return c
}

// crl makes a list by issuer, with cert if that is revoked.
func (a *authority) crl(issuer, cert *signer, revoked bool) string {
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now.AddDate(0, 0, -10), NextUpdate: now.AddDate(0, 0, 20)}
	if revoked {
		list.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: cert.cert.SerialNumber, RevocationTime: now}}
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, issuer.cert, issuer.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return hex.EncodeToString(der)
}

// hexSign signs a text as TCB info is signed.
func hexSign(a *authority, text string) string {
	return hex.EncodeToString(a.sign(a.tcbSigner.key, []byte(text)))
}
