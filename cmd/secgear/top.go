package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/secgear/secgear/internal/terminal"
)

// topLine is a line of "secgear top --json".
type topLine struct {
	Time     time.Time  `json:"time"`
	Enclaves []sighting `json:"enclaves"`
}

func runTop(i *invocation) error {
	asJSON := i.flags.Bool("json", false, "print a JSON object per look, on a line of its own")
	count := i.flags.Int("n", 0, "end after `N` looks (0: when you do)")
	interval := i.flags.Duration("interval", time.Second, "`time` between looks")
	if _, err := i.parse(0, 0); err != nil {
		return err
	}
	if *interval < 10*time.Millisecond || *count < 0 {
		return misuse("top: --interval must be 10ms or more, and -n not negative")
	}
	t := &top{invocation: i, left: *count, interval: *interval}
	if *asJSON {
		enc := json.NewEncoder(i.stdout)
		return t.run(func(list []sighting) error { return enc.Encode(topLine{time.Now().UTC(), list}) }, nil)
	}
	if !terminal.IsTerminal(i.stdout) {
		return hint(errors.New("showing enclaves: standard output is not a terminal"), "use secgear top --json, or secgear ps")
	}
	return t.onScreen()
}

// top looks again and again.
type top struct {
	*invocation
	watcher
	left     int // looks; 0: no end
	interval time.Duration
}

// run shows what it sees until left is used up, keys is closed or the user
// interrupts.
func (t *top) run(show func([]sighting) error, keys <-chan struct{}) error {
	tick := time.NewTicker(t.interval)
	defer tick.Stop()
	for {
		list, err := t.look(t)
		if t.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := show(list); err != nil {
			return err
		}
		if t.left--; t.left == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-keys:
			return nil
		case <-t.Done():
			return nil
		}
	}
}

// What a terminal is told: the second screen, without cursor, and back.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
)

// onScreen shows a table that is written over itself, until q is typed.
func (t *top) onScreen() (err error) {
	restore, err := terminal.Unbuffered(os.Stdin)
	if err != nil {
		return fmt.Errorf("showing enclaves: %w", err)
	}
	fmt.Fprint(t.stdout, enterScreen)
	defer func() {
		fmt.Fprint(t.stdout, leaveScreen)
		if err2 := restore(); err == nil && err2 != nil {
			err = fmt.Errorf("restoring the terminal: %w", err2)
		}
	}()
	quit := make(chan struct{})
	go awaitQuit(os.Stdin, quit)
	return t.run(func(list []sighting) error {
		width, height := terminal.Size(t.stdout)
		busiestFirst(list)
		_, err := t.stdout.WriteString(frame(list, time.Now(), width, height, os.Getenv("NO_COLOR") == ""))
		return err
	}, quit)
}

// awaitQuit closes quit when q is typed. It ends with the program.
func awaitQuit(in *os.File, quit chan<- struct{}) {
	b := make([]byte, 16)
	for {
		n, err := in.Read(b)
		if strings.ContainsAny(string(b[:n]), "qQ") {
			close(quit)
			return
		}
		if err != nil {
			return
		}
	}
}

// frame is what is written for one look: each line over the one before it, so
// that nothing flickers.
func frame(list []sighting, now time.Time, width, height int, color bool) string {
	lines := table(list, width)
	bold, plain := "", ""
	if color {
		bold, plain = "\x1b[1m", "\x1b[0m"
	}
	title := fmt.Sprintf("secgear top  %s  %d running  (q ends)", now.Format(time.TimeOnly), len(list))
	if r := []rune(title); width > 0 && len(r) > width {
		title = string(r[:width])
	}
	lines = append([]string{title, "", bold + lines[0] + plain}, lines[1:]...)
	if height > 0 && len(lines) > height {
		lines = lines[:height]
	}
	return "\x1b[H" + strings.Join(lines, "\x1b[K\r\n") + "\x1b[K\x1b[J"
}
