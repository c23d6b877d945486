// Package drive runs the processes that a benchmark compares. Each is driven
// over its standard input and output, a line per slice of measuring:
//
//	<work> <milliseconds>    →    ok <number>…    or    err <text>
//
// so that contenders written in any language take turns within milliseconds of
// each other and sleep in between. A process ends with its standard input,
// which happens however its driver ends.
package drive

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Work does one kind of work for about d and returns its numbers. For a slice
// of calls these are a [Slice].
type Work func(d time.Duration) ([]float64, error)

// Serve answers the requests that it reads from r until r ends. Failures of
// works are answers; the error returned is of reading or writing.
func Serve(r io.Reader, w io.Writer, works map[string]Work) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if _, err := io.WriteString(w, answer(lines.Text(), works)+"\n"); err != nil {
			return fmt.Errorf("answering the driver: %w", err)
		}
	}
	return lines.Err()
}

func answer(line string, works map[string]Work) string {
	name, rest, _ := strings.Cut(line, " ")
	ms, err := strconv.ParseFloat(rest, 64)
	if err != nil {
		return fmt.Sprintf("err malformed request %q", line)
	}
	work := works[name]
	if work == nil {
		return fmt.Sprintf("err no work %q", name)
	}
	numbers, err := work(time.Duration(ms * float64(time.Millisecond)))
	if err != nil {
		return "err " + strings.ReplaceAll(err.Error(), "\n", " ")
	}
	var b strings.Builder
	b.WriteString("ok")
	for _, x := range numbers {
		fmt.Fprintf(&b, " %g", x)
	}
	return b.String()
}
