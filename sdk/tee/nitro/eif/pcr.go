package eif

import (
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"fmt"
)

// PCR is the value of a platform configuration register: SHA-384 of the 48
// bytes of its value before and of what it was extended with.
type PCR [sha512.Size384]byte

// String is the value in hexadecimal, as AWS's tools and key policies have it.
func (p PCR) String() string { return hex.EncodeToString(p[:]) }

// Extend returns what p becomes when it is extended with data.
func (p PCR) Extend(data []byte) PCR {
	h := sha512.New384()
	h.Write(p[:])
	h.Write(data)
	return PCR(h.Sum(nil))
}

// PCRs are what the hypervisor measures an image into, by register: 0 all of it,
// 1 kernel, command line and the first RAM disk, 2 the other RAM disks and, if
// the image is signed, 8 the certificate. An enclave launched for debugging has
// zeros instead.
type PCRs map[int]PCR

// PCRs computes what the hypervisor measures. The signature is not verified for
// that; see [Image.Verify].
func (i *Image) PCRs() (PCRs, error) {
	all, boot, app := sha512.New384(), sha512.New384(), sha512.New384()
	for _, b := range [][]byte{i.Kernel, []byte(i.CommandLine)} {
		all.Write(b)
		boot.Write(b)
	}
	for n, d := range i.RAMDisks {
		all.Write(d)
		if n == 0 {
			boot.Write(d)
		} else {
			app.Write(d)
		}
	}
	var zero PCR
	pcrs := PCRs{0: zero.Extend(all.Sum(nil)), 1: zero.Extend(boot.Sum(nil)), 2: zero.Extend(app.Sum(nil))}
	if i.Signature == nil {
		return pcrs, nil
	}
	s, err := parseSignature(i.Signature)
	if err != nil {
		return nil, fmt.Errorf("measuring an EIF: %w", err)
	}
	pcrs[8] = CertificatePCR(s.certificate)
	return pcrs, nil
}

// CertificatePCR is PCR8 of images signed with cert.
func CertificatePCR(cert *x509.Certificate) PCR {
	sum := sha512.Sum384(cert.Raw)
	return PCR{}.Extend(sum[:])
}
