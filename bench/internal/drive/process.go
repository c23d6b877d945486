package drive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/secgear/secgear/bench/internal/cpu"
)

// Process is a running contender. Run must not be called concurrently.
type Process struct {
	name    string
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	answers chan string   // closed with standard output
	ended   chan struct{} // closed when the process was waited for
	err     error         // of the wait, after ended
}

// patience is how long a process may take to end after its standard input.
const patience = 10 * time.Second

// Start runs cmd on the given processors (all, if empty), to be driven. Its
// standard error is ours. It gets a process group of its own, so that Ctrl-C
// reaches the driver alone, which ends it in good order.
func Start(name string, cmd *exec.Cmd, cpus []int) (*Process, error) {
	p := &Process{name: name, cmd: cmd, answers: make(chan string), ended: make(chan struct{})}
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cpu.On(cpus, cmd.Start); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go p.read(stdout)
	return p, nil
}

// read hands on what the process says, then waits for its end.
func (p *Process) read(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		p.answers <- lines.Text()
	}
	close(p.answers)
	p.err = p.cmd.Wait()
	close(p.ended)
}

// Name is what the process was called when it was started.
func (p *Process) Name() string { return p.name }

// Pid is the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Run asks for work, to take about d, and waits for its numbers. When ctx ends
// first, the process can only be closed.
func (p *Process) Run(ctx context.Context, work string, d time.Duration) ([]float64, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(p.stdin, "%s %g\n", work, float64(d)/float64(time.Millisecond)); err != nil {
		return nil, fmt.Errorf("%s: %s: asking: %w", p.name, work, err)
	}
	select {
	case line, ok := <-p.answers:
		if !ok {
			<-p.ended
			return nil, fmt.Errorf("%s: %s: the process ended: %w", p.name, work, cause(p.err))
		}
		numbers, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", p.name, work, err)
		}
		return numbers, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// cause is err, or that there was none.
func cause(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// parse reads an answer.
func parse(line string) ([]float64, error) {
	status, rest, _ := strings.Cut(line, " ")
	switch status {
	case "err":
		return nil, errors.New(rest)
	case "ok":
	default:
		return nil, fmt.Errorf("malformed answer %q", line)
	}
	var numbers []float64
	for _, word := range strings.Fields(rest) {
		x, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return nil, fmt.Errorf("malformed answer %q", line)
		}
		numbers = append(numbers, x)
	}
	return numbers, nil
}

// Close ends the process by closing its standard input, waits, and kills it if
// it does not end.
func (p *Process) Close() error {
	closed := p.stdin.Close()
	go func() { // an answer that nobody asked for any more
		for range p.answers {
		}
	}()
	select {
	case <-p.ended:
	case <-time.After(patience):
		killed := p.cmd.Process.Kill()
		<-p.ended
		return errors.Join(fmt.Errorf("%s did not end with its standard input", p.name), killed)
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w", p.name, p.err)
	}
	if errors.Is(closed, os.ErrClosed) {
		return nil
	}
	return closed
}
