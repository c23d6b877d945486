// Package terminal tells whether somebody is watching, and shows them what
// takes time.
package terminal

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// IsTerminal tells whether f is this process's controlling terminal. Where
// that can't be found out, it is not.
func IsTerminal(f *os.File) bool { return isTerminal(f) }

// Foreground tells whether this process gets the signals that are typed on the
// controlling terminal (Ctrl-C), along with its children.
func Foreground() bool { return foreground() }

// Size returns the number of columns and lines of the terminal f, zeros if it is
// none.
func Size(f *os.File) (columns, lines int) { return size(f) }

// Unbuffered has the terminal f hand over what is typed at once, without showing
// it. Ctrl-C still interrupts; Ctrl-Z does nothing. restore must be called in the
// end.
func Unbuffered(f *os.File) (restore func() error, err error) { return unbuffered(f) }

// Progress shows on w, if it is a terminal, what is going on and for how long,
// from the first second on; otherwise it shows nothing. The function it returns
// must be called when that is over: it takes the line away.
func Progress(w *os.File, what string) (done func()) {
	if !IsTerminal(w) {
		return func() {}
	}
	return progress(w, what, time.Second)
}

// progress writes a line every tick, after the first one.
func progress(w io.Writer, what string, tick time.Duration) (done func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		shown := false
		for start := time.Now(); ; shown = true {
			select {
			case <-ticker.C:
				fmt.Fprintf(w, "\r%s … %ds ", what, int(time.Since(start).Seconds()))
			case <-stop:
				if shown {
					fmt.Fprint(w, "\r\x1b[K")
				}
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(stop)
		<-stopped
	})
}
