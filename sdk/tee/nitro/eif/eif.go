// Package eif reads, writes, measures and signs enclave image files, the format
// in which AWS Nitro Enclaves are launched.
//
// A file is a header and sections, all numbers big-endian:
//
//	header, 548 bytes:
//	  0 magic ".eif"
//	  4 version uint16 (4)
//	  6 flags   uint16 (bit 0: arm64)
//	  8 default memory in bytes uint64
//	 16 default number of processors uint64
//	 24 zero uint16
//	 26 number of sections uint16
//	 28 offset of each section, 32 × uint64
//	284 size of each section without its header, 32 × uint64
//	540 zero uint32
//	544 CRC-32 (IEEE) of all but this field uint32
//
//	section, 12 bytes and its content:
//	  0 type  uint16 (1 kernel, 2 command line, 3 RAM disk, 4 signature, 5 metadata)
//	  2 flags uint16 (0)
//	  4 size  uint64
//
// What is written has the order kernel, command line, metadata, RAM disks,
// signature, without gaps; [Parse] takes nothing else, so that a file has one
// meaning only, and is what [Image.Encode] makes of it.
package eif

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// ErrFormat is matched by all errors about a file's form.
var ErrFormat = errors.New("not an enclave image file as written here")

const (
	magic       = ".eif"
	version     = 4
	maxSections = 32
	headerSize  = 548
	crcOffset   = 544
	sectionSize = 12

	flagARM64 = 1
)

// MaxRAMDisks is how many RAM disks fit into a file.
const MaxRAMDisks = maxSections - 4

// MaxCommandLine is the length of the longest command line, as Linux has it on
// amd64 and arm64.
const MaxCommandLine = 2047

// Types of sections.
const (
	typeKernel = iota + 1
	typeCommandLine
	typeRAMDisk
	typeSignature
	typeMetadata
)

// Image is an enclave image.
type Image struct {
	Arch        string // GOARCH: amd64 or arm64
	Memory      uint64 // by default, in bytes
	Processors  uint64 // by default
	Kernel      []byte // a bzImage, or on arm64 an Image
	CommandLine string
	Metadata    []byte   // JSON; not measured
	RAMDisks    [][]byte // at least one; the kernel sees them one after the other
	Signature   []byte   // of PCR0, see Sign; nil if there is none
}

// section is one section of a file.
type section struct {
	kind    uint16
	content []byte
}

func (i *Image) sections() []section {
	s := []section{{typeKernel, i.Kernel}, {typeCommandLine, []byte(i.CommandLine)}, {typeMetadata, i.Metadata}}
	for _, d := range i.RAMDisks {
		s = append(s, section{typeRAMDisk, d})
	}
	if i.Signature != nil {
		s = append(s, section{typeSignature, i.Signature})
	}
	return s
}

// check tells what keeps i from being written.
func (i *Image) check() error {
	switch {
	case i.Arch != "amd64" && i.Arch != "arm64":
		return fmt.Errorf("%w: architecture %q is neither amd64 nor arm64", ErrFormat, i.Arch)
	case len(i.Kernel) == 0:
		return fmt.Errorf("%w: no kernel", ErrFormat)
	case len(i.RAMDisks) == 0 || len(i.RAMDisks) > MaxRAMDisks:
		return fmt.Errorf("%w: %d RAM disks, not 1 to %d", ErrFormat, len(i.RAMDisks), MaxRAMDisks)
	case len(i.CommandLine) > MaxCommandLine:
		return fmt.Errorf("%w: a command line of %d characters, more than %d", ErrFormat, len(i.CommandLine), MaxCommandLine)
	case i.Signature != nil && len(i.Signature) == 0:
		return fmt.Errorf("%w: an empty signature", ErrFormat)
	}
	for _, c := range []byte(i.CommandLine) {
		if c < ' ' || c > '~' {
			return fmt.Errorf("%w: the command line %q is not plain ASCII", ErrFormat, i.CommandLine)
		}
	}
	return nil
}

// Encode returns the file. The same image gives the same file.
func (i *Image) Encode() ([]byte, error) {
	if err := i.check(); err != nil {
		return nil, fmt.Errorf("writing an EIF: %w", err)
	}
	sections := i.sections()
	size := headerSize
	for _, s := range sections {
		size += sectionSize + len(s.content)
	}
	b := make([]byte, headerSize, size)
	i.putHeader(b, sections)
	for _, s := range sections {
		b = binary.BigEndian.AppendUint16(b, s.kind)
		b = binary.BigEndian.AppendUint16(b, 0)
		b = binary.BigEndian.AppendUint64(b, uint64(len(s.content)))
		b = append(b, s.content...)
	}
	binary.BigEndian.PutUint32(b[crcOffset:], checksum(b))
	return b, nil
}

func (i *Image) putHeader(b []byte, sections []section) {
	copy(b, magic)
	binary.BigEndian.PutUint16(b[4:], version)
	if i.Arch == "arm64" {
		binary.BigEndian.PutUint16(b[6:], flagARM64)
	}
	binary.BigEndian.PutUint64(b[8:], i.Memory)
	binary.BigEndian.PutUint64(b[16:], i.Processors)
	binary.BigEndian.PutUint16(b[26:], uint16(len(sections)))
	at := uint64(headerSize)
	for n, s := range sections {
		binary.BigEndian.PutUint64(b[28+8*n:], at)
		binary.BigEndian.PutUint64(b[284+8*n:], uint64(len(s.content)))
		at += sectionSize + uint64(len(s.content))
	}
}

// checksum is the CRC of a file.
func checksum(b []byte) uint32 {
	crc := crc32.ChecksumIEEE(b[:crcOffset])
	return crc32.Update(crc, crc32.IEEETable, b[headerSize:])
}

// Parse reads a file. The image's contents are parts of b.
func Parse(b []byte) (*Image, error) {
	i, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("reading an EIF: %w", err)
	}
	return i, nil
}

func parse(b []byte) (*Image, error) {
	if len(b) < headerSize || string(b[:4]) != magic {
		return nil, fmt.Errorf("%w: no header", ErrFormat)
	}
	if v := binary.BigEndian.Uint16(b[4:]); v != version {
		return nil, fmt.Errorf("%w: version %d instead of %d", ErrFormat, v, version)
	}
	if sum := binary.BigEndian.Uint32(b[crcOffset:]); sum != checksum(b) {
		return nil, fmt.Errorf("%w: checksum %08x instead of %08x", ErrFormat, sum, checksum(b))
	}
	i := &Image{Memory: binary.BigEndian.Uint64(b[8:]), Processors: binary.BigEndian.Uint64(b[16:])}
	switch flags := binary.BigEndian.Uint16(b[6:]); flags {
	case 0:
		i.Arch = "amd64"
	case flagARM64:
		i.Arch = "arm64"
	default:
		return nil, fmt.Errorf("%w: flags %#x", ErrFormat, flags)
	}
	sections, err := readSections(b)
	if err != nil {
		return nil, err
	}
	if err := i.arrange(sections); err != nil {
		return nil, err
	}
	return i, i.check()
}

// readSections reads the sections as the header has them, which must lie one
// after the other and fill the file.
func readSections(b []byte) ([]section, error) {
	count := int(binary.BigEndian.Uint16(b[26:]))
	if count > maxSections || binary.BigEndian.Uint16(b[24:]) != 0 || binary.BigEndian.Uint32(b[540:]) != 0 {
		return nil, fmt.Errorf("%w: %d sections, or reserved fields in use", ErrFormat, count)
	}
	var sections []section
	at := uint64(headerSize)
	for n := range maxSections {
		offset, size := binary.BigEndian.Uint64(b[28+8*n:]), binary.BigEndian.Uint64(b[284+8*n:])
		if n >= count {
			if offset != 0 || size != 0 {
				return nil, fmt.Errorf("%w: section %d is none, and has a place", ErrFormat, n)
			}
			continue
		}
		if offset != at || uint64(len(b))-at < sectionSize || size > uint64(len(b))-at-sectionSize {
			return nil, fmt.Errorf("%w: section %d at %d of %d bytes", ErrFormat, n, offset, size)
		}
		h := b[at:]
		if binary.BigEndian.Uint16(h[2:]) != 0 || binary.BigEndian.Uint64(h[4:]) != size {
			return nil, fmt.Errorf("%w: section %d contradicts the header", ErrFormat, n)
		}
		sections = append(sections, section{binary.BigEndian.Uint16(h), h[sectionSize:][:size:size]})
		at += sectionSize + size
	}
	if at != uint64(len(b)) {
		return nil, fmt.Errorf("%w: %d bytes follow", ErrFormat, uint64(len(b))-at)
	}
	return sections, nil
}

// arrange fills in the image from its sections, which must have our order.
func (i *Image) arrange(sections []section) error {
	place := 0 // in order
	order := []uint16{typeKernel, typeCommandLine, typeMetadata, typeRAMDisk, typeSignature}
	for n, s := range sections {
		repeated := s.kind == typeRAMDisk && len(i.RAMDisks) > 0
		if !repeated && (place == len(order) || s.kind != order[place]) {
			return fmt.Errorf("%w: section %d is of type %d, which does not belong there", ErrFormat, n, s.kind)
		}
		if !repeated {
			place++
		}
		switch s.kind {
		case typeKernel:
			i.Kernel = s.content
		case typeCommandLine:
			i.CommandLine = string(s.content)
		case typeMetadata:
			i.Metadata = s.content
		case typeRAMDisk:
			i.RAMDisks = append(i.RAMDisks, s.content)
		case typeSignature:
			i.Signature = s.content
		}
	}
	return nil
}
