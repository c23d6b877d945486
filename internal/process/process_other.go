//go:build !unix

package process

import (
	"context"
	"os"
	"os/exec"
)

// inGroup leaves cmd as it is: what it starts ends when it finds out.
func inGroup(*exec.Cmd) {}

// watch kills p when ctx ends. An error means that it has ended already.
func watch(ctx context.Context, p *os.Process, ended <-chan struct{}) {
	select {
	case <-ended:
	case <-ctx.Done():
		_ = p.Kill()
	}
}
