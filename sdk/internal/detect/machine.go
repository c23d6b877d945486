// Package detect tells what a machine has for trusted execution environments, and
// which one it is itself in, from the files by which the kernel shows its
// hardware: processor flags, devices, parameters of modules, firmware's tables.
// Nothing is opened for writing, started or changed.
//
// What is found is for choosing and for advice. It proves nothing: a machine in
// false hands shows whatever it likes. Evidence is what proves.
package detect

import (
	"errors"
	"io"
	"io/fs"
	"runtime"
	"strings"
)

// Machine is where to look.
type Machine struct {
	// Root is the root of the file system.
	Root fs.FS

	// Arch is the machine's, as GOARCH.
	Arch string

	// Access tells why this process can't open the device of that name in Root for
	// reading and writing, or nil. It does not open it.
	Access func(name string) error
}

// This is the machine that this process runs on.
func This() Machine {
	return Machine{Root: root(), Arch: runtime.GOARCH, Access: access}
}

// maxFile is what is read of a file at most, in bytes.
const maxFile = 1 << 20

// read returns what a file holds without white space around it, "" if there is
// none that can be read.
func (m Machine) read(name string) string {
	f, err := m.Root.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// exists tells whether there is something of that name; what can't be looked at is
// there.
func (m Machine) exists(name string) bool {
	_, err := fs.Stat(m.Root, name)
	return !errors.Is(err, fs.ErrNotExist)
}

// hasFlag tells whether the first processor's flags hold one of that name.
func (m Machine) hasFlag(name string) bool {
	for line := range strings.Lines(m.read("proc/cpuinfo")) {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "flags", "Features":
			for flag := range strings.FieldsSeq(value) {
				if flag == name {
					return true
				}
			}
			return false
		}
	}
	return false
}

// vendor is the machine's maker as its firmware says.
func (m Machine) vendor() string { return m.read("sys/class/dmi/id/sys_vendor") }
