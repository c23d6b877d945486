package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/secgear/secgear/internal/terminal"
)

// progress shows what is going on: on a terminal by a line that is drawn again
// and again, elsewhere by lines. The zero progress shows nothing.
type progress struct {
	out  io.Writer
	live bool // out is a terminal

	what      string
	at, total int64
	bytes     bool // are what is counted
	began     time.Time
	shown     time.Time // the last time
}

func newProgress(out *os.File) *progress {
	return &progress{out: out, live: terminal.IsTerminal(out)}
}

// How often it is shown.
const (
	redraw  = 100 * time.Millisecond
	newLine = 10 * time.Second
)

// begin tells that something begins, of which there are total bytes. The function
// it returns must be called when that is over.
func (p *progress) begin(what string, total int64) (end func()) {
	*p = progress{out: p.out, live: p.live, what: what, total: total, bytes: true, began: time.Now()}
	return p.start()
}

// beginFor is begin for something that takes d.
func (p *progress) beginFor(what string, d time.Duration) (end func()) {
	*p = progress{out: p.out, live: p.live, what: what, total: int64(d), began: time.Now()}
	return p.start()
}

func (p *progress) start() (end func()) {
	p.shown = p.began
	if p.out != nil && !p.live {
		fmt.Fprintf(p.out, "%s …\n", p.what)
	}
	return func() {
		if p.live {
			fmt.Fprint(p.out, "\r\x1b[K")
		}
	}
}

// advance tells that n bytes more are done.
func (p *progress) advance(n int) { p.reach(p.at + int64(n)) }

// reach tells how much is done.
func (p *progress) reach(at int64) {
	p.at = min(at, p.total)
	now := time.Now()
	switch {
	case p.out == nil, !p.live && now.Sub(p.shown) < newLine, now.Sub(p.shown) < redraw:
	case p.live:
		p.shown = now
		const width = 30
		full := int(width * p.at / max(p.total, 1))
		fmt.Fprintf(p.out, "\r%s [%s%s] %s\x1b[K", p.what, strings.Repeat("#", full), strings.Repeat(".", width-full), p.state(now))
	default:
		p.shown = now
		fmt.Fprintf(p.out, "%s: %s\n", p.what, p.state(now))
	}
}

// state is how much is done, and how fast.
func (p *progress) state(now time.Time) string {
	text := fmt.Sprintf("%3d %%", 100*p.at/max(p.total, 1))
	if p.bytes {
		text += fmt.Sprintf("  %.0f MiB/s", speed(p.at, now.Sub(p.began)))
	}
	return text
}
