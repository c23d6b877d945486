package nitro

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/internal/control"
	"github.com/secgear/secgear/sdk/internal/initramfs"
	"github.com/secgear/secgear/sdk/tee/nitro/internal/wire"
)

// console follows what a machine prints: the kernel, process 1 and, for debug
// images, the program.
type console struct {
	log   logger
	debug bool
	ended chan struct{} // closed at the end of the stream

	listening chan struct{} // closed when the enclave listens, as it says itself
	listened  bool          // it did; belongs to follow

	mu   sync.Mutex
	exit error  // as process 1 reports it
	told bool   // it did
	last string // line
}

// maxLine is how much of a line is looked at.
const maxLine = 4096

func newConsole(r io.Reader, log logger, debug bool) *console {
	c := &console{log: log, debug: debug, ended: make(chan struct{}), listening: make(chan struct{})}
	go c.follow(r)
	return c
}

func (c *console) follow(r io.Reader) {
	defer close(c.ended)
	lines := bufio.NewReaderSize(r, maxLine)
	for {
		b, _, err := lines.ReadLine() // longer ones in pieces
		if err != nil {
			return
		}
		if line := strings.TrimSpace(control.Printable(string(b))); line != "" {
			c.note(line)
		}
	}
}

func (c *console) note(line string) {
	if line == wire.ListeningLine {
		if !c.listened {
			c.listened = true
			close(c.listening)
		}
		return
	}
	if exit, ok := parseExit(line); ok {
		c.mu.Lock()
		c.exit, c.told = exit, true
		c.mu.Unlock()
		return
	}
	if c.debug {
		c.log.Warn("enclave prints", "line", line)
	} else {
		c.log.Debug("enclave's machine prints", "line", line)
	}
	c.mu.Lock()
	c.last = line
	c.mu.Unlock()
}

// parseExit reads how process 1 says that the program ended.
func parseExit(line string) (exit error, ok bool) {
	for _, l := range []struct {
		prefix string
		say    func(string) error
	}{
		{initramfs.ExitLine, exitStatus},
		{initramfs.SignalLine, signal},
		{initramfs.FailedLine, func(s string) error { return fmt.Errorf("the enclave did not start: %s", s) }},
	} {
		if rest, found := strings.CutPrefix(line, l.prefix); found {
			return l.say(rest), true
		}
	}
	return nil, false
}

func exitStatus(s string) error {
	n, err := strconv.ParseUint(s, 10, 8)
	switch {
	case err != nil:
		return fmt.Errorf("the enclave died: exit status %q", s)
	case n == 0:
		return nil
	}
	return fmt.Errorf("the enclave died: exit status %d", n)
}

func signal(s string) error {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return fmt.Errorf("the enclave died: signal %q", s)
	}
	return fmt.Errorf("the enclave died: %s", unix.SignalName(unix.Signal(n)))
}

// cause is why the machine ended, if process 1 said so; otherwise it is what was
// printed last.
func (c *console) cause() error {
	<-c.ended
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.told:
		return c.exit
	case c.last != "":
		return fmt.Errorf("the enclave's machine ended; it printed last: %s", c.last)
	}
	return fmt.Errorf("the enclave's machine ended")
}
