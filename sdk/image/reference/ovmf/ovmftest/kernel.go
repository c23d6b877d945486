package ovmftest

import "encoding/binary"

// Kernel makes an image that firmware could measure: the headers of a PE image,
// and one section of 16 bytes.
func Kernel(content byte) []byte {
	const coff, optional, optionalSize, headers, size = 0x40, 0x40 + 24, 160, 0x140, 16
	le := binary.LittleEndian
	b := make([]byte, headers+size)
	copy(b, "MZ")
	le.PutUint32(b[0x3c:], coff)
	copy(b[coff:], "PE\x00\x00")
	le.PutUint16(b[coff+4:], 0x8664) // amd64
	le.PutUint16(b[coff+6:], 1)      // section
	le.PutUint16(b[coff+20:], optionalSize)
	le.PutUint16(b[optional:], 0x20b)
	le.PutUint32(b[optional+60:], headers)
	le.PutUint32(b[optional+108:], 6) // directories
	le.PutUint32(b[optional+optionalSize+16:], size)
	le.PutUint32(b[optional+optionalSize+20:], headers)
	for i := range b[headers:] {
		b[headers+i] = content
	}
	return b
}
