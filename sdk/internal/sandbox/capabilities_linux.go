package sandbox

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/internal/spawn"
)

// secureBits (capabilities(7)) take from the user id 0 and from changes of user
// all effect on capabilities, for good.
const secureBits = 1<<0 | 1<<1 | // NOROOT, locked
	1<<2 | 1<<3 | // NO_SETUID_FIXUP, locked
	1<<5 | // KEEP_CAPS off, locked
	1<<6 | 1<<7 // NO_CAP_AMBIENT_RAISE, locked

// addCapabilities drops every capability from every set.
func (c *confinement) addCapabilities(name string) error {
	if c.namespaces&unix.CLONE_NEWUSER != 0 || os.Geteuid() == 0 {
		for n := uintptr(0); known(n); n++ {
			c.Add(prctl(partBounding, false, unix.PR_CAPBSET_DROP, n))
		}
		c.active(partBounding)
	}
	header := make([]byte, 8) // struct __user_cap_header_struct: version, pid 0
	binary.NativeEndian.PutUint32(header, unix.LINUX_CAPABILITY_VERSION_3)
	c.Add(
		prctl(name, false, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL),
		spawn.Call{Part: name, Trap: unix.SYS_CAPSET, Args: [6]uintptr{c.Bytes(header), c.Bytes(make([]byte, 24))}},
	)
	c.active(name)
	return nil
}

// known tells whether the kernel has capability n.
func known(n uintptr) bool {
	_, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, n, 0, 0, 0)
	return err == nil
}
