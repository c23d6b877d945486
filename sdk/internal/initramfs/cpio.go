package initramfs

import (
	"fmt"
	"strings"
)

// File is a file or folder of an archive.
type File struct {
	Name string // path without a leading slash; its folder comes before it
	Mode uint32 // type and permissions, as ModeDir|0o755
	Data []byte
}

// Types of files, for File.Mode.
const (
	ModeDir  = 0o040000
	ModeFile = 0o100000
)

// Archive returns files as the kernel unpacks them: a cpio archive in the format
// that is called newc (Documentation/driver-api/early-userspace/buffer-format).
// Each member is
//
//	6   "070701"
//	104 13 numbers of 8 hexadecimal digits: inode, mode, uid, gid, links, time,
//	    size, device (2), device of a device file (2), size of the name, 0
//	…   name and a zero byte, and zeros up to a multiple of 4
//	…   data, and zeros up to a multiple of 4
//
// and the last one is named "TRAILER!!!". All belongs to root, and is as old as the epoch.
func Archive(files []File) ([]byte, error) {
	size := 0
	for _, f := range files {
		if err := f.check(); err != nil {
			return nil, err
		}
		size += 256 + len(f.Name) + len(f.Data)
	}
	out := make([]byte, 0, size)
	for i, f := range files {
		out = appendMember(out, f, uint32(i+1))
	}
	out = appendMember(out, File{Name: trailer}, 0)
	for len(out)%blockSize != 0 { // where several archives follow each other
		out = append(out, 0)
	}
	return out, nil
}

const (
	cpioMagic = "070701"
	trailer   = "TRAILER!!!"
	blockSize = 512
	maxName   = 255
)

// check tells why f can't be a member.
func (f File) check() error {
	bad := f.Name == "" || len(f.Name) > maxName || f.Name == trailer || strings.HasPrefix(f.Name, "/") || strings.ContainsRune(f.Name, 0)
	if bad || uint64(len(f.Data)) > 1<<32-1 {
		return fmt.Errorf("archiving %q of %d bytes: not a name or size that an initramfs can have", f.Name, len(f.Data))
	}
	return nil
}

// appendMember appends a member with its header and padding.
func appendMember(out []byte, f File, inode uint32) []byte {
	links := uint32(1)
	if f.Mode&ModeDir != 0 {
		links = 2
	}
	out = append(out, cpioMagic...)
	for _, v := range [...]uint32{
		inode, f.Mode, 0, 0, links, 0, uint32(len(f.Data)), 0, 0, 0, 0, uint32(len(f.Name) + 1), 0,
	} {
		out = appendHex(out, v)
	}
	out = append(out, f.Name...)
	out = pad(append(out, 0))
	return pad(append(out, f.Data...))
}

func appendHex(out []byte, v uint32) []byte {
	const digits = "0123456789ABCDEF"
	for shift := 28; shift >= 0; shift -= 4 {
		out = append(out, digits[v>>shift&15])
	}
	return out
}

// pad fills up to a multiple of 4.
func pad(out []byte) []byte {
	for len(out)%4 != 0 {
		out = append(out, 0)
	}
	return out
}
