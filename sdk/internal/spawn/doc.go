// Package spawn starts a program in a new process that first makes a given
// list of system calls: whatever confines the program is then in force before
// its first instruction, and the program need not be trusted to confine itself.
//
// It exists because os/exec knows neither pivot_root, Landlock, seccomp,
// resource limits nor the execution of a descriptor. It forks as package syscall
// does and, like gVisor, reaches the three runtime functions that a fork needs
// by linkname (the runtime keeps them for such users, see go.dev/issue/67401).
//
// Linux only.
package spawn
