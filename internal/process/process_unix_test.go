//go:build unix

package process

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"testing"
	"time"
)

// canceller ends a context as soon as something is written to it.
type canceller struct {
	said   bytes.Buffer
	cancel context.CancelFunc
}

func (c *canceller) Write(p []byte) (int, error) {
	c.cancel()
	return c.said.Write(p)
}

// TestRun ends a shell whose child holds its output: Run returns when both are
// gone, the obstinate child too.
func TestRun(t *testing.T) {
	defer func(was time.Duration) { grace = was }(grace)
	grace = 100 * time.Millisecond
	for name, script := range map[string]string{
		"interrupted": "echo started; sleep 1000 | sleep 1000",
		"killed":      "sleep 1000 & echo started; wait", // sh lets background jobs ignore SIGINT
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out := &canceller{cancel: cancel}
			cmd := exec.Command("sh", "-c", script)
			cmd.Stdout = out
			if err := Run(ctx, cmd); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			if out.said.String() != "started\n" {
				t.Errorf("said %q", &out.said)
			}
		})
	}
}

func TestRunToItsEnd(t *testing.T) {
	cmd := exec.Command("sh", "-c", "echo done; exit 3")
	var out bytes.Buffer
	cmd.Stdout = &out
	var exit *exec.ExitError
	if err := Run(t.Context(), cmd); !errors.As(err, &exit) || exit.ExitCode() != 3 || out.String() != "done\n" {
		t.Errorf("said %q, %v", &out, err)
	}
	if err := Run(t.Context(), exec.Command("/no/such/command")); err == nil {
		t.Error("a missing command ran")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, exec.Command("/no/such/command")); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
}
