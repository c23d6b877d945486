package sim

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// alwaysHere are the system calls that only this architecture's programs make.
var alwaysHere []uintptr
