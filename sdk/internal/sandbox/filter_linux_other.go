//go:build !amd64 && !arm64 && !riscv64

package sandbox

// auditArch says that the filter isn't made for this architecture.
const auditArch = 0

var alwaysHere []uintptr

const sysFstatat = 0
