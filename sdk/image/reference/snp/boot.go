package snp

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/secgear/secgear/sdk/image/reference/ovmf"
)

// hashesSize is the size of the table of hashes as QEMU writes it (target/i386/sev.c,
// PaddedSevHashTable), integers little-endian:
//
//	offset size
//	     0   16 GUID of the table
//	    16    2 its length, 168
//	    18   50 entry for the command line
//	    68   50 for the initrd
//	   118   50 for the kernel
//	   168    8 zeros
//
// of which an entry is a GUID (16), its own length (2) and a SHA-256 digest.
const hashesSize = 176

// The GUIDs as they are stored.
const (
	guidTable       = "\x06\xd6\x38\x94\x22\x4f\xc9\x4c\xb4\x79\xa7\x93\xd4\x11\xfd\x21" // 9438d606-4f22-4cc9-b479-a793d411fd21
	guidCommandLine = "\xd8\x2d\xd0\x97\x20\xbd\x94\x4c\xaa\x78\xe7\x71\x4d\x36\xab\x2a" // 97d02dd8-bd20-4c94-aa78-e7714d36ab2a
	guidInitrd      = "\x31\xf7\xba\x44\x2f\x3a\xd7\x4b\x9a\xf1\x41\xe2\x91\x69\x78\x1d" // 44baf731-3a2f-4bd7-9af1-41e29169781d
	guidKernel      = "\x37\x94\xe7\x4d\xd2\xab\x7f\x42\xb8\x35\xd5\xb1\x72\xd2\x04\x5b" // 4de79437-abd2-427f-b835-d5b172d2045b
)

// page returns the page with the table of hashes, or nil where nothing is booted.
func (b *Boot) page(sev *ovmf.SEV) ([]byte, error) {
	if b == nil {
		return nil, nil
	}
	at := sev.Hashes % ovmf.PageSize
	switch {
	case sev.Hashes == 0:
		return nil, ErrUnmeasured
	case at+hashesSize > ovmf.PageSize:
		return nil, fmt.Errorf("%w: no room for the table of hashes at %#x", ovmf.ErrFormat, sev.Hashes)
	case strings.IndexByte(b.CommandLine, 0) >= 0:
		return nil, fmt.Errorf("command line %q holds a zero byte", b.CommandLine)
	}
	page := make([]byte, ovmf.PageSize)
	copy(page[at:], b.hashes())
	return page, nil
}

// hashes returns the table, without its padding. The command line is measured
// with the zero byte that ends it.
func (b *Boot) hashes() []byte {
	t := append([]byte(guidTable), 168, 0)
	t = appendHash(t, guidCommandLine, append([]byte(b.CommandLine), 0))
	t = appendHash(t, guidInitrd, b.Initrd)
	return appendHash(t, guidKernel, b.Kernel)
}

func appendHash(t []byte, guid string, content []byte) []byte {
	sum := sha256.Sum256(content)
	t = append(t, guid...)
	t = binary.LittleEndian.AppendUint16(t, uint16(len(guid)+2+len(sum)))
	return append(t, sum[:]...)
}
