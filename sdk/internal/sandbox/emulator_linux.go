package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/internal/spawn"
)

// emulators are the programs that run those of another architecture, by GOARCH:
// QEMU in user mode, static, since there is nothing to load in an enclave's
// process.
var emulators = map[string]string{
	"amd64":   "/usr/bin/qemu-x86_64-static",
	"arm64":   "/usr/bin/qemu-aarch64-static",
	"riscv64": "/usr/bin/qemu-riscv64-static",
}

// fixEmulator is what makes the emulators be there.
const fixEmulator = "apt-get install qemu-user-static"

// emulatorMemory is what an emulator needs beside its program, in bytes: for the
// code that it makes (128 MiB), for stacks of its own, and for what it remembers
// of the program's memory.
const emulatorMemory = 768 << 20

// foreign tells whether programs for arch need an emulator here. "" is this
// machine's.
func foreign(arch string) bool { return arch != "" && arch != runtime.GOARCH }

// emulatorFor is the name of the emulator for arch.
func (t TEE) emulatorFor(arch string) string {
	if t.Emulator != "" {
		return t.Emulator
	}
	return emulators[arch]
}

// sealedEmulator returns the emulator for arch as sealedProgram does: the file
// is copied, so that whatever happens to it later happens to no enclave.
func (t TEE) sealedEmulator(arch string, readable bool) (*os.File, error) {
	f, err := openEmulator(t.emulatorFor(arch))
	if err != nil {
		return nil, fmt.Errorf("opening the emulator for %s (to fix it: %s): %w", arch, fixEmulator, err)
	}
	defer f.Close() // only read from
	emulator, err := sealedProgram(f, readable)
	if err != nil {
		return nil, fmt.Errorf("copying %s: %w", f.Name(), err)
	}
	return emulator, nil
}

// openEmulator opens the named emulator.
func openEmulator(name string) (*os.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &st)
	if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o022 != 0) {
		err = errors.New("it is not a file that its owner alone can write")
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("using %s: %w", f.Name(), err)
	}
	return f, nil
}

// probeEmulator tells why the emulator for arch can't be used.
func (t TEE) probeEmulator(arch string) error {
	f, err := openEmulator(t.emulatorFor(arch))
	if err != nil {
		return err
	}
	return f.Close()
}

// guest is a program that an emulator runs.
type guest struct {
	arch string
	fd   int // the program
	size int // in bytes
}

// guestName is the program's name in the process's root.
const guestName = "program"

// args are the emulator's arguments for a program that goes by name.
func (g *guest) args(name string) []string {
	return []string{filepath.Base(emulators[g.arch]), "-0", name, "/" + guestName}
}

// rootSize are the options for a root that holds the program and no more.
func (g *guest) rootSize() string {
	return fmt.Sprintf("size=%d,nr_inodes=2,mode=111", (g.size+os.Getpagesize()-1)/os.Getpagesize()*os.Getpagesize())
}

// addEmulation notes what emulation costs, and frees descriptor n, which the
// following calls use.
func (c *confinement) addEmulation(n int) error {
	if c.namespaces&unix.CLONE_NEWNS == 0 {
		return fmt.Errorf("%s is emulated, and the emulator takes the program from a root of its own: %w: needs a mount namespace",
			c.guest.arch, errors.ErrUnsupported)
	}
	var err error
	if c.guestFD, err = c.File(c.guest.fd); err != nil {
		return err
	}
	c.scratch = n
	c.Add(spawn.Call{
		Part: "emulation", Essential: true, Trap: unix.SYS_CLOSE_RANGE, Args: [6]uintptr{uintptr(n), spawn.Lowest - 1, 0},
	})
	c.missing(partNative, fmt.Errorf("%s is emulated by %s", c.guest.arch, emulators[c.guest.arch]))
	c.missing(partOpen, errors.New("the emulator opens the program by its name; there is no other file, and none can be written"))
	return nil
}

// addGuest puts the program into the new root, which is the current folder, and
// makes that read-only. The emulator has no other way to it than by a name.
func (c *confinement) addGuest(part string) {
	dot, scratch := c.String("."), uintptr(c.scratch)
	atCwd := ^uintptr(0) - 99 // AT_FDCWD
	call := func(result, trap uintptr, args ...uintptr) {
		call := spawn.Call{Part: part, Essential: true, Trap: trap, Result: result}
		copy(call.Args[:], args)
		c.Add(call)
	}
	call(scratch, unix.SYS_OPENAT, atCwd, c.String(guestName), unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o555)
	call(uintptr(c.guest.size), unix.SYS_SENDFILE, scratch, uintptr(c.guestFD), c.Bytes(make([]byte, 8)), uintptr(c.guest.size))
	call(0, unix.SYS_CLOSE, scratch)
	call(0, unix.SYS_MOUNT, 0, dot, 0, unix.MS_REMOUNT|unix.MS_RDONLY|rootFlags, 0)
}

// addGuestRule lets the emulator read the one file there is.
func (c *confinement) addGuestRule(part string, ruleset int) {
	scratch := uintptr(c.scratch)
	rule := binary.NativeEndian.AppendUint64(nil, unix.LANDLOCK_ACCESS_FS_READ_FILE) // struct landlock_path_beneath_attr
	rule = binary.NativeEndian.AppendUint32(rule, uint32(scratch))
	c.Add(
		spawn.Call{
			Part: part, Trap: unix.SYS_OPENAT, Result: scratch,
			Args: [6]uintptr{^uintptr(0) - 99, c.String("/"), unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC},
		},
		spawn.Call{
			Part: part, Trap: unix.SYS_LANDLOCK_ADD_RULE,
			Args: [6]uintptr{uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, c.Bytes(rule)},
		},
	)
}
