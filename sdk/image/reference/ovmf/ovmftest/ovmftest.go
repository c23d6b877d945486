// Package ovmftest makes firmware, and kernels for it, for tests: what is read and
// measured of them, and nothing that could run.
package ovmftest

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// Firmware says what to put into a firmware.
type Firmware struct {
	Size  int // in bytes; filled with a pattern
	Table []Entry
	SEV   List // its entries are 12 bytes long
	TDX   List // 32 bytes
}

// Entry is an entry of the table at the end. The two that point to the lists are
// added by Build.
type Entry struct {
	GUID    string
	Content []byte
}

// List is a list of sections, each as its numbers, of 4 or 8 bytes as the format
// has them. No sections: no list.
type List struct {
	Signature string
	Version   uint32
	Length    int // added to the length that is right
	Sections  [][]any
}

// GUIDs that the table has entries for.
const (
	GUIDReset   = "00f771de-1a7e-4fcb-890e-68c77e2fb44e"
	GUIDHashes  = "7255371f-3a3b-4b04-927b-1da6efa8d454"
	GUIDSEVList = "dc886566-984a-4798-a75e-5585a7bf67cc"
	GUIDTDXList = "e47a6535-984a-4798-865e-4685a7bf8ec2"
	GUIDIGVM    = "784fa70e-3176-4677-8a20-04b68699e374"

	guidTable = "96b582de-1fb2-45f7-baea-a366c55a082d"
)

// Default is a firmware of 64 KiB with all that edk2's AmdSevX64 has: lists for
// SEV-SNP and TDX, and room for the hashes of what it boots.
func Default() Firmware {
	const size, base = 0x10000, 0xffff0000
	return Firmware{
		Size: size,
		Table: []Entry{
			{GUIDReset, binary.LittleEndian.AppendUint32(nil, 0x80b004)},
			{GUIDHashes, []byte{0x00, 0x0c, 0x81, 0x00, 0x00, 0x04, 0x00, 0x00}},
			{GUIDIGVM, []byte{0, 0, 0, 0}},
		},
		SEV: List{Signature: "ASEV", Version: 1, Sections: [][]any{
			{uint32(0x800000), uint32(0x9000), uint32(1)},
			{uint32(0x80a000), uint32(0x3000), uint32(1)},
			{uint32(0x80d000), uint32(0x1000), uint32(2)},
			{uint32(0x80e000), uint32(0x1000), uint32(3)},
			{uint32(0x80f000), uint32(0x1000), uint32(4)},
			{uint32(0x811000), uint32(0xf000), uint32(1)},
			{uint32(0x810000), uint32(0x1000), uint32(0x10)},
		}},
		TDX: List{Signature: "TDVF", Version: 1, Sections: [][]any{
			{uint32(0x4000), uint32(0xc000), uint64(base + 0x4000), uint64(0xc000), uint32(0), uint32(1)},
			{uint32(0), uint32(0x4000), uint64(base), uint64(0x4000), uint32(1), uint32(0)},
			{uint32(0), uint32(0), uint64(0x810000), uint64(0x10000), uint32(3), uint32(0)},
			{uint32(0), uint32(0), uint64(0x809000), uint64(0x2000), uint32(2), uint32(0)},
		}},
	}
}

// Build returns the firmware's bytes, the same each time: the lists, the table, and
// where the reset vector would be are at its end, and a pattern before them.
func (f Firmware) Build() []byte {
	data := make([]byte, f.Size)
	for i := range data {
		data[i] = byte(i*7 + i>>8)
	}
	tail := f.Tail()
	copy(data[f.Size-len(tail):], tail)
	return data
}

// Tail returns the end of the firmware without the pattern.
func (f Firmware) Tail() []byte {
	const resetVector, trailer, pointer = 32, 18, 4
	table := resetVector + trailer
	lists := map[string]List{GUIDSEVList: f.SEV, GUIDTDXList: f.TDX}
	for _, e := range f.Table {
		table += len(e.Content) + trailer
	}
	for id, l := range lists {
		if len(l.Sections) == 0 {
			delete(lists, id)
		} else {
			table += pointer + trailer
		}
	}
	tail := make([]byte, table)
	entries := f.Table
	for _, id := range []string{GUIDSEVList, GUIDTDXList} {
		if l, ok := lists[id]; ok {
			tail = append(l.bytes(), tail...)
			entries = append(entries, Entry{id, binary.LittleEndian.AppendUint32(nil, uint32(len(tail)))})
		}
	}
	at := len(tail) - resetVector - trailer
	for _, e := range entries {
		at = put(tail, at, e.GUID, e.Content, len(e.Content)+trailer)
	}
	put(tail, len(tail)-resetVector, guidTable, nil, table-resetVector)
	return tail
}

// put writes an entry that ends at end, and returns where it begins.
func put(data []byte, end int, id string, content []byte, size int) int {
	copy(data[end-16:], guid(id))
	binary.LittleEndian.PutUint16(data[end-18:], uint16(size))
	copy(data[end-18-len(content):], content)
	return end - 18 - len(content)
}

// guid spells a GUID as firmware stores it.
func guid(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != 16 {
		panic("ovmftest: " + s + " is no GUID")
	}
	return []byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]}
}

// bytes encodes a list.
func (l List) bytes() []byte {
	var sections []byte
	for _, s := range l.Sections {
		for _, n := range s {
			sections, _ = binary.Append(sections, binary.LittleEndian, n)
		}
	}
	le := binary.LittleEndian
	b := le.AppendUint32([]byte(l.Signature), uint32(16+len(sections)+l.Length))
	b = le.AppendUint32(le.AppendUint32(b, l.Version), uint32(len(l.Sections)))
	return append(b, sections...)
}
