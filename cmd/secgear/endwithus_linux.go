package main

import (
	"os/exec"
	"syscall"
)

// endWithUs has the kernel kill cmd when this process is killed, and could not do
// so itself.
func endWithUs(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
