// Package process runs commands that take with them what they started.
package process

import (
	"context"
	"os/exec"
	"time"
)

// grace is how long an interrupted command may clean up. Tests shorten it.
var grace = 5 * time.Second

// Run is cmd.Run for commands that start others, as go build does. When ctx
// ends, all of them are interrupted, and killed if that does not help within
// seconds; the error is then ctx's. They get no signals from the terminal: the
// caller has to end ctx on those. cmd must come from [exec.Command].
func Run(ctx context.Context, cmd *exec.Cmd) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	inGroup(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		watch(ctx, cmd.Process, ended)
	}()
	err := cmd.Wait()
	close(ended)
	<-watched
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
