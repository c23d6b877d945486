// Package ovmf reads what OVMF, the firmware of virtual machines, says of itself
// to whoever loads it: a table at its end, and through that the lists of memory
// that SEV-SNP and TDX want prepared before the guest starts. What gets measured
// follows from these lists.
//
// A firmware is a file that somebody else built: sizes and offsets in it are
// checked, and lists that no virtual machine monitor could start from are
// refused.
package ovmf

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrFormat: the bytes are no OVMF firmware, or one that can't be started.
var ErrFormat = errors.New("malformed firmware")

// PageSize is the unit in which memory is measured.
const PageSize = 4096

// MaxSize is the largest firmware that is looked at, in bytes.
const MaxSize = 64 << 20

// fourGiB is where every firmware ends in the guest's memory.
const fourGiB = 1 << 32

// Firmware is a firmware with the table at its end.
type Firmware struct {
	Data []byte // the file; must not be changed

	table map[guid][]byte
}

// The end of a firmware (edk2, OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm);
// integers are little-endian:
//
//	bytes from the end
//	…      entries, each: content, its length with this trailer (2), its GUID (16)
//	50     length of all entries and this trailer (2), GUID of the table (16)
//	32     reset vector
const (
	resetVectorSize = 32
	trailerSize     = 2 + len(guid{})
)

// Parse finds the table of a firmware. data is kept and must not be changed.
func Parse(data []byte) (*Firmware, error) {
	if len(data) < PageSize || len(data) > MaxSize || len(data)%PageSize != 0 {
		return nil, fmt.Errorf("%w: %d bytes are no whole number of pages up to %d MiB", ErrFormat, len(data), MaxSize>>20)
	}
	rest := data[:len(data)-resetVectorSize]
	all, err := lastEntry(rest)
	if err != nil || all.id != tableGUID {
		return nil, fmt.Errorf("%w: no table at the end, as OVMF has it (of a firmware in two files, CODE is the one with a table)", ErrFormat)
	}
	f := &Firmware{Data: data, table: make(map[guid][]byte)}
	for rest = all.content; len(rest) > 0; {
		e, err := lastEntry(rest)
		if err != nil {
			return nil, err
		}
		if _, twice := f.table[e.id]; twice {
			return nil, fmt.Errorf("%w: entry %v twice in the table", ErrFormat, e.id)
		}
		f.table[e.id] = e.content
		rest = rest[:len(rest)-len(e.content)-trailerSize]
	}
	return f, nil
}

// Base is the address in the guest's memory at which the firmware begins.
func (f *Firmware) Base() uint64 { return fourGiB - uint64(len(f.Data)) }

// SinceStable202511 tells whether f is of edk2-stable202511 or newer: its table
// has an entry that came with it. Nothing else in a firmware says how old it is.
func (f *Firmware) SinceStable202511() bool {
	_, ok := f.table[igvmGUID]
	return ok
}

// entry is one entry of the table.
type entry struct {
	id      guid
	content []byte
}

// lastEntry reads the entry that b ends with.
func lastEntry(b []byte) (entry, error) {
	if len(b) < trailerSize {
		return entry{}, fmt.Errorf("%w: cut entry in its table", ErrFormat)
	}
	trailer := b[len(b)-trailerSize:]
	size := int(binary.LittleEndian.Uint16(trailer))
	if size < trailerSize || size > len(b) {
		return entry{}, fmt.Errorf("%w: entry of %d bytes in its table", ErrFormat, size)
	}
	return entry{guid(trailer[2:]), b[len(b)-size : len(b)-trailerSize]}, nil
}

// number returns an entry's content as the 32-bit number that it has to be. It
// is zero where there is no such entry.
func (f *Firmware) number(id guid) (uint32, error) {
	content, ok := f.table[id]
	if !ok {
		return 0, nil
	}
	if len(content) != 4 {
		return 0, fmt.Errorf("%w: entry %v has %d bytes instead of 4", ErrFormat, id, len(content))
	}
	return binary.LittleEndian.Uint32(content), nil
}

// maxSections is the longest list of memory that is taken; OVMF's have 7.
const maxSections = 64

// list finds a list of sections of sectionSize bytes each and returns them in one
// piece, or nil if the firmware has no such list. Its place is given as distance
// from the firmware's end; the list begins with
//
//	offset size
//	     0    4 signature
//	     4    4 length: of header and sections
//	     8    4 version, 1
//	    12    4 number of sections
func (f *Firmware) list(id guid, signature string, sectionSize int) ([]byte, error) {
	const header = 16
	back, err := f.number(id)
	if err != nil || back == 0 {
		return nil, err
	}
	if back < header || int64(back) > int64(len(f.Data)) {
		return nil, fmt.Errorf("%w: list %v is outside", ErrFormat, id)
	}
	b := f.Data[len(f.Data)-int(back):]
	length, version, count := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])
	switch {
	case string(b[:4]) != signature:
		return nil, fmt.Errorf("%w: list %v begins with %q instead of %q", ErrFormat, id, b[:4], signature)
	case version != 1:
		return nil, fmt.Errorf("%w: list %s has version %d; known is 1", ErrFormat, signature, version)
	case count == 0 || count > maxSections:
		return nil, fmt.Errorf("%w: list %s has %d sections instead of 1 to %d", ErrFormat, signature, count, maxSections)
	}
	size := header + int(count)*sectionSize
	if int64(length) != int64(size) || size > len(b) {
		return nil, fmt.Errorf("%w: list %s of %d sections has %d bytes", ErrFormat, signature, count, length)
	}
	return b[header:size], nil
}

// span is a piece of the guest's memory.
type span struct{ start, size uint64 }

// maxMemory bounds what the sections of a firmware can ask for, in bytes. OVMF's
// ask for less than a megabyte beside its own size.
const maxMemory = 256 << 20

// checkSpans refuses memory that can't be prepared: not in whole pages, beyond
// 4 GiB, twice the same, or too much.
func checkSpans(spans []span) error {
	var total uint64
	for i, s := range spans {
		switch {
		case s.size == 0:
			return fmt.Errorf("%w: section %d is empty: it was not built for this", ErrFormat, i)
		case s.start%PageSize != 0 || s.size%PageSize != 0:
			return fmt.Errorf("%w: section %d, %#x bytes at %#x, is no whole number of pages", ErrFormat, i, s.size, s.start)
		case s.start >= fourGiB || s.size > fourGiB-s.start:
			return fmt.Errorf("%w: section %d, %#x bytes at %#x, goes beyond 4 GiB", ErrFormat, i, s.size, s.start)
		}
		for j, o := range spans[:i] {
			if s.start < o.start+o.size && o.start < s.start+s.size {
				return fmt.Errorf("%w: sections %d and %d overlap", ErrFormat, j, i)
			}
		}
		if total += s.size; total > maxMemory {
			return fmt.Errorf("%w: its sections are larger than %d MiB", ErrFormat, maxMemory>>20)
		}
	}
	return nil
}
