package sandbox

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/internal/spawn"
)

// landlockRights are the rights that Landlock (landlock(7)) of each version can
// take away, beyond those of the version before: on files, on TCP ports, and on
// what is outside the process's domain.
var landlockRights = []struct{ files, ports, scopes uint64 }{
	1: {files: unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1},
	2: {files: unix.LANDLOCK_ACCESS_FS_REFER},
	3: {files: unix.LANDLOCK_ACCESS_FS_TRUNCATE},
	4: {ports: unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP},
	5: {files: unix.LANDLOCK_ACCESS_FS_IOCTL_DEV},
	6: {scopes: unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL},
}

// landlockVersion is the version that the kernel has.
func landlockVersion() (int, error) {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0, errno
	}
	return int(v), nil
}

// addLandlock takes every right that the kernel's version knows and gives none
// back.
func (c *confinement) addLandlock(name string) error {
	version, err := landlockVersion()
	if err != nil {
		c.missing(name, err)
		return nil
	}
	var attr [3]uint64 // struct landlock_ruleset_attr
	for i, r := range landlockRights {
		if i <= version {
			attr[0], attr[1], attr[2] = attr[0]|r.files, attr[1]|r.ports, attr[2]|r.scopes
		}
	}
	size := 8 * 3
	switch { // older kernels know less of the structure
	case version < 4:
		size = 8
	case version < 6:
		size = 16
	}
	var b []byte
	for _, v := range attr {
		b = binary.NativeEndian.AppendUint64(b, v)
	}
	fd, err := c.Now(unix.SYS_LANDLOCK_CREATE_RULESET, [6]uintptr{c.Bytes(b), uintptr(size)})
	if err != nil {
		return fmt.Errorf("making a ruleset: %w", err)
	}
	ruleset, err := c.File(int(fd))
	unix.Close(int(fd))
	if err != nil {
		return err
	}
	if c.guest != nil {
		c.addGuestRule(name, ruleset)
	}
	c.Add(spawn.Call{Part: name, Trap: unix.SYS_LANDLOCK_RESTRICT_SELF, Args: [6]uintptr{uintptr(ruleset)}})
	c.active(name)
	return nil
}
