//go:build unix

package process

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// inGroup makes cmd the leader of a process group.
func inGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// watch ends the process group of p when ctx does. Errors mean that there is
// nobody left in it.
func watch(ctx context.Context, p *os.Process, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	_ = syscall.Kill(-p.Pid, syscall.SIGINT)
	select {
	case <-ended:
	case <-time.After(grace):
	}
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
}
