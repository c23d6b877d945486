package tdx

import (
	"cmp"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrKernel: the kernel is no image that UEFI firmware can start and measure.
var ErrKernel = errors.New("not a kernel with an EFI stub")

// peImage is where the parts of a PE image are that its digest treats in a
// special way.
type peImage struct {
	data        []byte
	checksum    int     // offset of CheckSum, 4 bytes
	certificate int     // offset of the certificate table's directory entry, 8 bytes; 0: there is none
	headers     int     // SizeOfHeaders
	signatures  int     // size of the certificate table at the end
	sections    []piece // with content, in the file's order
}

// piece is a part of a file.
type piece struct{ offset, size int }

// ImageDigest returns the Authenticode digest (Microsoft, Windows Authenticode
// Portable Executable Signature Format) by which firmware measures what it starts:
// over all of a PE image except its checksum, the place of its signatures and
// the signatures themselves. A Linux kernel (bzImage) is such an image.
func ImageDigest(image []byte) (Digest, error) {
	p, err := parsePE(image)
	if err != nil {
		return Digest{}, fmt.Errorf("%w: %w", ErrKernel, err)
	}
	h := sha512.New384()
	h.Write(image[:p.checksum])
	if p.certificate == 0 {
		h.Write(image[p.checksum+4 : p.headers])
	} else {
		h.Write(image[p.checksum+4 : p.certificate])
		h.Write(image[p.certificate+8 : p.headers])
	}
	end := p.headers
	for _, s := range p.sections {
		h.Write(image[s.offset : s.offset+s.size])
		end += s.size
	}
	h.Write(image[end : len(image)-p.signatures]) // edk2 counts, and looks for no gaps
	return Digest(h.Sum(nil)), nil
}

var errCut = errors.New("it is cut")

// parsePE reads the headers of a PE image:
//
//	0x3c                 offset of the COFF header
//	COFF header          "PE\0\0", then at 6 the number of sections, at 20 the size of the optional header
//	+24 optional header  magic; at 60 SizeOfHeaders, 64 CheckSum, then directories
//	…   section headers  40 bytes each; at 16 the size, at 20 the offset of the content
func parsePE(data []byte) (*peImage, error) {
	le := binary.LittleEndian
	if len(data) < 0x40 || data[0] != 'M' || data[1] != 'Z' {
		return nil, errors.New("it does not begin with MZ")
	}
	if len(data)%8 != 0 {
		// Whether firmware pads it is not settled.
		return nil, fmt.Errorf("its size, %d bytes, is no multiple of 8", len(data))
	}
	const coffSize, leastOptional = 24, 128
	coff := number(data[0x3c:])
	if coff > len(data)-coffSize-leastOptional {
		return nil, errCut
	}
	if string(data[coff:coff+4]) != "PE\x00\x00" {
		return nil, errors.New("it has no PE header")
	}
	optional := coff + coffSize
	p := &peImage{data: data, checksum: optional + 64, headers: number(data[optional+60:])}
	table := optional + int(le.Uint16(data[coff+20:]))
	count := int(le.Uint16(data[coff+6:]))
	if p.headers > len(data) || p.headers < p.checksum+4 || p.headers < table+40*count {
		return nil, fmt.Errorf("headers of %d bytes with %d sections", p.headers, count)
	}
	if err := p.directories(optional, table); err != nil {
		return nil, err
	}
	return p, p.readSections(data[table : table+40*count])
}

// directories finds the entry of the certificate table, the fifth, in an optional
// header that ends at end.
func (p *peImage) directories(optional, end int) error {
	const certificates = 4
	le := binary.LittleEndian
	at := optional
	switch magic := le.Uint16(p.data[optional:]); magic {
	case 0x10b: // 32 bits
		at += 92
	case 0x20b: // 64 bits
		at += 108
	default:
		return fmt.Errorf("unknown kind of optional header %#x", magic)
	}
	if at+4 > end {
		return fmt.Errorf("optional header of %d bytes", end-optional)
	}
	count := le.Uint32(p.data[at:])
	if count <= certificates {
		return nil
	}
	p.certificate = at + 4 + 8*certificates
	if p.certificate+8 > min(end, p.headers) {
		return errCut
	}
	p.signatures = number(p.data[p.certificate+4:])
	if p.signatures > 0 && number(p.data[p.certificate:]) != len(p.data)-p.signatures {
		return errors.New("its signatures are not at the end")
	}
	return nil
}

// readSections takes the sections with content and checks that they lie one
// behind the other, between headers and signatures.
func (p *peImage) readSections(table []byte) error {
	for ; len(table) > 0; table = table[40:] {
		if s := (piece{offset: number(table[20:]), size: number(table[16:])}); s.size > 0 {
			p.sections = append(p.sections, s)
		}
	}
	slices.SortStableFunc(p.sections, func(a, b piece) int { return cmp.Compare(a.offset, b.offset) })
	end, limit := p.headers, len(p.data)-p.signatures
	if end > limit {
		return errCut
	}
	for _, s := range p.sections {
		if s.offset < end {
			return fmt.Errorf("two of its parts overlap at %#x", s.offset)
		}
		if s.offset > limit || s.size > limit-s.offset {
			return errCut
		}
		end = s.offset + s.size
	}
	return nil
}

// number reads an offset or a size. What is too large for a file becomes as large
// as none is.
func number(b []byte) int { return int(min(binary.LittleEndian.Uint32(b), math.MaxInt32)) }
