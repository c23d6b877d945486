package snp

import (
	"bytes"
	"crypto/x509"
	"embed"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

//go:embed roots/*.pem
var roots embed.FS

// product is a line of processors.
type product struct {
	name       string    // in certificates
	family     byte      // CPUID, in reports from version 3 on
	models     [][2]byte // from, to
	components [8]string // of a TCB version, by its bytes
	chip       int       // bytes of a chip's id
}

// Components of a TCB version by their byte (56860, table 3 and, for Turin, table 4).
var (
	milanTCB = [8]string{0: "bootloader", 1: "tee", 6: "snp", 7: "microcode"}
	turinTCB = [8]string{0: "fmc", 1: "bootloader", 2: "tee", 3: "snp", 7: "microcode"}
)

var products = []*product{
	{"Milan", 0x19, [][2]byte{{0x00, 0x0f}}, milanTCB, 64},
	{"Genoa", 0x19, [][2]byte{{0x10, 0x1f}, {0xa0, 0xaf}}, milanTCB, 64},
	{"Turin", 0x1a, [][2]byte{{0x00, 0x11}}, turinTCB, 8},
}

// productNamed returns the product of a name as in certificates, stepping included:
// "Milan-B0".
func productNamed(name string) (*product, error) {
	line, _, _ := strings.Cut(name, "-")
	for _, p := range products {
		if p.name == line {
			return p, nil
		}
	}
	return nil, fmt.Errorf("product %q is unknown", name)
}

// made tells whether the report is of such a processor; those of version 2 don't tell.
func (p *product) made(r *Report) bool {
	if r.Version < 3 {
		return p.components == milanTCB // Turin's firmware writes no version 2
	}
	return r.CPUID[0] == p.family && slices.ContainsFunc(p.models, func(m [2]byte) bool { return m[0] <= r.CPUID[1] && r.CPUID[1] <= m[1] })
}

// tcb takes a TCB version apart.
func (p *product) tcb(v uint64) map[string]uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	m := make(map[string]uint64)
	for i, name := range p.components {
		if name != "" {
			m[name] = uint64(b[i])
		}
	}
	return m
}

// Authorities are the signing and the root certificate of a product.
type Authorities struct{ Signing, Root *x509.Certificate }

// AMD returns AMD's own authorities for a product ("Milan", "Genoa" or "Turin"), for
// keys of chips or those given to clouds.
func AMD(name string, vlek bool) (Authorities, error) {
	file := "roots/" + strings.ToLower(name)
	if vlek {
		file += "_vlek"
	}
	b, err := roots.ReadFile(file + ".pem")
	if err != nil {
		return Authorities{}, fmt.Errorf("there are no certificates of AMD's for %q", name)
	}
	return parseAuthorities(b)
}

// isZero tells whether b has nothing but zeros.
func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
