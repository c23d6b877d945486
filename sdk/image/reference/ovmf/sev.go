package ovmf

import (
	"encoding/binary"
	"fmt"
)

// SEV is what a firmware says for SEV-SNP.
type SEV struct {
	ResetEIP uint32 // where processors but the first begin
	Hashes   uint32 // address of the table of hashes of what it boots; 0: it checks none
	Sections []SEVSection
}

// SEVSection is memory that is added to the guest before it starts, in the order
// of the list.
type SEVSection struct {
	Start, Size uint32 // in whole pages
	Type        SEVType
}

// SEVType is the use of a section (edk2, OvmfPkg/ResetVector/X64/OvmfSevMetadata.asm).
type SEVType uint32

// The types of sections that there are.
const (
	SEVMemory       SEVType = 1    // zeros
	SEVSecrets      SEVType = 2    // one page, filled by the secure processor
	SEVCPUID        SEVType = 3    // one page, checked by the secure processor
	SEVCallingArea  SEVType = 4    // for calls to an SVSM; zeros
	SEVKernelHashes SEVType = 0x10 // one page
)

// SEV returns what f says for SEV-SNP.
func (f *Firmware) SEV() (*SEV, error) {
	const sectionSize = 12 // start, size, type: 4 bytes each
	list, err := f.list(sevListGUID, "ASEV", sectionSize)
	if err != nil {
		return nil, err
	}
	if list == nil {
		return nil, fmt.Errorf("%w: it has no list for SEV-SNP", ErrFormat)
	}
	s := new(SEV)
	spans := make([]span, 0, maxSections)
	for ; len(list) > 0; list = list[sectionSize:] {
		le := binary.LittleEndian
		section := SEVSection{le.Uint32(list), le.Uint32(list[4:]), SEVType(le.Uint32(list[8:]))}
		s.Sections = append(s.Sections, section)
		spans = append(spans, span{uint64(section.Start), uint64(section.Size)})
	}
	if err := checkSpans(spans); err != nil {
		return nil, fmt.Errorf("list for SEV-SNP: %w", err)
	}
	if s.ResetEIP, err = f.number(resetGUID); err != nil {
		return nil, err
	}
	if s.Hashes, err = f.hashes(); err != nil {
		return nil, err
	}
	return s, s.check()
}

// hashes returns the address of the table of hashes, or 0. Beside it stands how
// much room there is.
func (f *Firmware) hashes() (uint32, error) {
	content := f.table[hashesGUID]
	if content == nil {
		return 0, nil
	}
	if len(content) != 8 {
		return 0, fmt.Errorf("%w: entry %v has %d bytes instead of 8", ErrFormat, hashesGUID, len(content))
	}
	return binary.LittleEndian.Uint32(content), nil
}

// check looks at each section by itself, and finds the page that the table of
// hashes is in.
func (s *SEV) check() error {
	pages := 0 // of hashes
	for i, section := range s.Sections {
		switch section.Type {
		case SEVMemory, SEVCallingArea:
			continue
		case SEVKernelHashes:
			pages++
			if s.Hashes&^(PageSize-1) != section.Start {
				return fmt.Errorf("%w: its table of hashes at %#x is not in their page at %#x", ErrFormat, s.Hashes, section.Start)
			}
		case SEVSecrets, SEVCPUID:
		default:
			return fmt.Errorf("%w: section %d for SEV-SNP is of the unknown type %#x", ErrFormat, i, uint32(section.Type))
		}
		if section.Size != PageSize {
			return fmt.Errorf("%w: section %d for SEV-SNP, of type %#x, has %d bytes instead of one page", ErrFormat, i, uint32(section.Type), section.Size)
		}
	}
	if pages != 1 {
		s.Hashes = 0 // room that nothing adds to the guest
	}
	return nil
}
