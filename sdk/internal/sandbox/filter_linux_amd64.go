package sandbox

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_X86_64

// alwaysHere are the system calls that only this architecture's programs make.
var alwaysHere = []uintptr{unix.SYS_ARCH_PRCTL, unix.SYS_EPOLL_WAIT}

// sysFstatat is the system call that Linux calls newfstatat everywhere.
const sysFstatat = unix.SYS_NEWFSTATAT
