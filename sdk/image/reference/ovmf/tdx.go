package ovmf

import (
	"encoding/binary"
	"fmt"
)

// TDXSection is memory that is added to a TD before it starts, in the order of
// the list.
type TDXSection struct {
	Start    uint64
	Size     uint64 // in whole pages
	Type     TDXType
	Measured bool   // its content, too, goes into MRTD
	Content  []byte // Size bytes of the firmware; nil: zeros, or a hand-off block that is not measured here
}

// TDXType is the use of a section (Intel, TDX Virtual Firmware Design Guide, table
// "TDVF section type").
type TDXType uint32

// The types of sections that there are.
const (
	TDXCode        TDXType = 0 // boot firmware volume
	TDXVariables   TDXType = 1 // configuration firmware volume
	TDXHandOff     TDXType = 2 // hand-off block, filled by the virtual machine monitor
	TDXTemporary   TDXType = 3 // heap and stack
	extendContent          = 1 // attribute: the content is measured
	tdxSectionSize         = 32
)

// TDX returns the sections that f lists for TDX. A section is
//
//	offset size
//	     0    4 offset of its content in the firmware
//	     4    4 size of the content; 0: none
//	     8    8 address
//	    16    8 size in memory
//	    24    4 type
//	    28    4 attributes
func (f *Firmware) TDX() ([]TDXSection, error) {
	list, err := f.list(tdxListGUID, "TDVF", tdxSectionSize)
	if err != nil {
		return nil, err
	}
	if list == nil {
		return nil, fmt.Errorf("%w: it has no list for TDX", ErrFormat)
	}
	var sections []TDXSection
	spans := make([]span, 0, maxSections)
	for i := 0; len(list) > 0; i, list = i+1, list[tdxSectionSize:] {
		s, err := f.tdxSection(list[:tdxSectionSize])
		if err != nil {
			return nil, fmt.Errorf("section %d for TDX: %w", i, err)
		}
		sections = append(sections, s)
		spans = append(spans, span{s.Start, s.Size})
	}
	if err := checkSpans(spans); err != nil {
		return nil, fmt.Errorf("list for TDX: %w", err)
	}
	return sections, nil
}

// tdxSection reads one section, and is as strict as QEMU, which is to start from
// it.
func (f *Firmware) tdxSection(b []byte) (TDXSection, error) {
	le := binary.LittleEndian
	offset, size, attributes := int64(le.Uint32(b)), int64(le.Uint32(b[4:])), le.Uint32(b[28:])
	s := TDXSection{Start: le.Uint64(b[8:]), Size: le.Uint64(b[16:]), Type: TDXType(le.Uint32(b[24:])), Measured: attributes == extendContent}
	switch {
	case attributes&^extendContent != 0:
		return s, fmt.Errorf("%w: unknown attributes %#x", ErrFormat, attributes)
	case s.Type > TDXTemporary:
		return s, fmt.Errorf("%w: unknown type %d", ErrFormat, s.Type)
	case s.Type == TDXHandOff || s.Type == TDXTemporary:
		if size != 0 || s.Measured {
			return s, fmt.Errorf("%w: memory without content has some", ErrFormat)
		}
		return s, nil
	case size == 0 || uint64(size) != s.Size || offset+size > int64(len(f.Data)):
		return s, fmt.Errorf("%w: %#x bytes at %#x of the file for %#x bytes of memory (take a firmware in one file, not CODE alone)", ErrFormat, size, offset, s.Size)
	}
	s.Content = f.Data[offset : offset+size]
	return s, nil
}
