package vm

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/internal/control"
	"github.com/secgear/secgear/sdk/internal/initramfs"
)

// console follows what a machine prints, and what QEMU itself does.
type console struct {
	log   *slog.Logger
	debug bool
	done  chan struct{} // closed when both have ended

	mu   sync.Mutex
	exit string // how the guest says that its program ended, or ""
	said string // the beginning of what was said on the way to the end
}

// newConsole takes over the files.
func newConsole(guest, qemu *os.File, log *slog.Logger, debug bool) *console {
	c := &console{log: log, debug: debug, done: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() { follow(guest, c.guestLine) })
	wg.Go(func() { follow(qemu, c.qemuLine) })
	go func() {
		wg.Wait()
		close(c.done)
	}()
	return c
}

// follow reads lines to the end, and closes f.
func follow(f *os.File, line func(string)) {
	defer f.Close()
	lines := bufio.NewReaderSize(f, 4096)
	for {
		b, _, err := lines.ReadLine() // longer ones in pieces
		if err != nil {
			io.Copy(io.Discard, f) // a socket that fails reads as its end
			return
		}
		if text := control.Printable(strings.TrimSpace(string(b))); text != "" { // it goes to terminals
			line(text)
		}
	}
}

// guestLine notes a line of the guest's. Only a debug image's program can print.
func (c *console) guestLine(line string) {
	level := slog.LevelDebug
	if c.debug {
		level = slog.LevelWarn
	}
	c.log.Log(context.Background(), level, "guest prints", "line", line)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch how := ending(line); {
	case how != "":
		c.exit = how
	case c.said == "" && (strings.HasPrefix(line, "panic:") || strings.Contains(line, "Kernel panic") || strings.HasPrefix(line, "fatal error:")):
		c.said = line
	}
}

// exitZero is how a program ends that ends well.
const exitZero = "exit status 0"

// ending is how the program ended, if that is what a line says.
func ending(line string) string {
	if n, ok := strings.CutPrefix(line, initramfs.ExitLine); ok {
		if _, err := strconv.ParseUint(n, 10, 8); err == nil {
			return "exit status " + n
		}
	}
	if n, ok := strings.CutPrefix(line, initramfs.SignalLine); ok {
		if v, err := strconv.ParseUint(n, 10, 7); err == nil {
			return unix.SignalName(unix.Signal(v))
		}
	}
	if why, ok := strings.CutPrefix(line, initramfs.FailedLine); ok {
		return "it did not start: " + why
	}
	return ""
}

// qemuLine notes a line of QEMU's, which says something when it fails.
func (c *console) qemuLine(line string) {
	c.log.Warn("QEMU says", "line", line)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.said == "" {
		c.said = line
	}
}

// how tells how the program ended, after done, and what was said.
func (c *console) how() (exit, said string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exit, c.said
}
