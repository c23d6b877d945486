package sandbox

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_RISCV64

// alwaysHere are the system calls that only this architecture's programs make.
var alwaysHere = []uintptr{unix.SYS_RISCV_HWPROBE, unix.SYS_RISCV_FLUSH_ICACHE}

// sysFstatat is the system call that Linux calls newfstatat everywhere.
const sysFstatat = unix.SYS_FSTATAT
