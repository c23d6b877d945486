package snp

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/secgear/secgear/middleware/attest/internal/certs"
)

// parseAuthorities reads PEM: the signing certificate and the root's.
func parseAuthorities(pem []byte) (Authorities, error) {
	list, err := certs.Parse(pem)
	if err != nil {
		return Authorities{}, err
	}
	if len(list) != 2 {
		return Authorities{}, fmt.Errorf("%d certificates instead of the signing key's and the root's", len(list))
	}
	return Authorities{list[0], list[1]}, nil
}

// key is an endorsement key, VCEK or VLEK, whose certificate's chain was verified.
type key struct {
	chain   *certs.Chain
	public  *ecdsa.PublicKey
	product *product
	vlek    bool
	tcb     map[string]uint64
	chip    []byte // VCEK
	cloud   string // VLEK: who has it
}

// Object identifiers of the certificates' extensions (57230, table 8 and 9).
const (
	extProduct  = 2
	extVersions = 3 // of components, one arc each
	extChip     = 4
	extCloud    = 5
)

var oidAMD = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1}

// components are the last arcs of extensions that tell the version of a component.
var components = map[int]string{1: "bootloader", 2: "tee", 3: "snp", 8: "microcode", 9: "fmc"}

// parseKey verifies the certificate of an endorsement key and reads it.
func parseKey(der []byte, authorities func(product string, vlek bool) (Authorities, error)) (*key, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	k := &key{tcb: make(map[string]uint64)}
	if err := k.read(cert); err != nil {
		return nil, err
	}
	a, err := authorities(k.product.name, k.vlek)
	if err != nil {
		return nil, err
	}
	if k.chain, err = certs.Verify([]*x509.Certificate{cert, a.Signing, a.Root}, a.Root); err != nil {
		return nil, err
	}
	if cert.IsCA {
		return nil, errors.New("it is the certificate of an authority")
	}
	public, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P384() {
		return nil, errors.New("its key is no ECDSA P-384 key")
	}
	k.public = public
	return k, nil
}

// read reads what AMD's extensions say.
func (k *key) read(cert *x509.Certificate) error {
	for _, e := range cert.Extensions {
		if len(e.Id) <= len(oidAMD) || !e.Id[:len(oidAMD)].Equal(oidAMD) {
			continue
		}
		var err error
		switch arcs := e.Id[len(oidAMD):]; {
		case len(arcs) == 1 && arcs[0] == extProduct:
			var name string
			if name, err = ia5(e.Value); err == nil {
				k.product, err = productNamed(name)
			}
		case len(arcs) == 2 && arcs[0] == extVersions && components[arcs[1]] != "":
			err = k.version(components[arcs[1]], e.Value)
		case len(arcs) == 1 && arcs[0] == extChip:
			k.chip = octets(e.Value)
		case len(arcs) == 1 && arcs[0] == extCloud:
			k.cloud, err = ia5(e.Value)
			k.vlek = true
		}
		if err != nil {
			return fmt.Errorf("extension %v: %w", e.Id, err)
		}
	}
	return k.complete()
}

// complete refuses certificates that lack something.
func (k *key) complete() error {
	if k.product == nil {
		return errors.New("it names no product of AMD's")
	}
	for _, name := range k.product.components {
		if _, ok := k.tcb[name]; !ok && name != "" {
			return fmt.Errorf("it does not tell the version of %s", name)
		}
	}
	if !k.vlek && len(k.chip) != k.product.chip {
		return fmt.Errorf("a chip's id of %d bytes instead of %d", len(k.chip), k.product.chip)
	}
	return nil
}

// reported is the certificate's TCB, of those components that the product has.
func (k *key) reported() map[string]uint64 {
	m := make(map[string]uint64)
	for _, name := range k.product.components {
		if name != "" {
			m[name] = k.tcb[name]
		}
	}
	return m
}

// version notes the version of a component.
func (k *key) version(name string, der []byte) error {
	var v int
	if rest, err := asn1.Unmarshal(der, &v); err != nil || len(rest) > 0 || v < 0 || v > 255 {
		return errors.New("it is no version")
	}
	if _, twice := k.tcb[name]; twice {
		return errors.New("it is there twice")
	}
	k.tcb[name] = uint64(v)
	return nil
}

// ia5 reads a text.
func ia5(der []byte) (string, error) {
	var s string
	rest, err := asn1.UnmarshalWithParams(der, &s, "ia5")
	if err == nil && len(rest) > 0 {
		err = errors.New("bytes follow the text")
	}
	return s, err
}

// octets reads bytes, which AMD writes with or without a header.
func octets(value []byte) []byte {
	var b []byte
	if rest, err := asn1.Unmarshal(value, &b); err == nil && len(rest) == 0 {
		return b
	}
	return bytes.Clone(value)
}
