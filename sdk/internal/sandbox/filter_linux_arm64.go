package sandbox

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// alwaysHere are the system calls that only this architecture's programs make.
var alwaysHere []uintptr

// sysFstatat is the system call that Linux calls newfstatat everywhere.
const sysFstatat = unix.SYS_FSTATAT
