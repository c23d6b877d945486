package nitro

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
)

// TestConsole: only process 1 says how the program ended; without it, the last
// line is all there is.
func TestConsole(t *testing.T) {
	for said, want := range map[string]string{
		"hello\r\nsecgear guest: exit status 0\r\n":  "",
		"\r\nsecgear guest: exit status 7\r\n":       "the enclave died: exit status 7",
		"secgear guest: exit status -7\n":            `the enclave died: exit status "-7"`,
		"secgear guest: signal 9\n":                  "the enclave died: SIGKILL",
		"secgear guest: signal 900\n":                `the enclave died: signal "900"`,
		"secgear guest: failed: mounting /proc: x\n": "the enclave did not start: mounting /proc: x",
		"x secgear guest: exit status 0\n":           "the enclave's machine ended; it printed last: x secgear guest: exit status 0",
		"Kernel panic\n\x1b[31m\nnot syncing \x07\n": "the enclave's machine ended; it printed last: not syncing",
		"": "the enclave's machine ended",
		strings.Repeat("x", 3*maxLine) + "\r\n" + "end\n": "the enclave's machine ended; it printed last: end",
	} {
		c := newConsole(strings.NewReader(said), slog.New(slog.DiscardHandler), false)
		if got := c.cause(); want == "" && got != nil || want != "" && fmt.Sprint(got) != want {
			t.Errorf("%.60q: %v, want %q", said, got, want)
		}
	}
}

// TestTaken: a line that says OK is read, and nothing after it.
func TestTaken(t *testing.T) {
	r := strings.NewReader("OK 1073741824\nrest")
	if err := readTaken(r); err != nil {
		t.Error(err)
	}
	if rest, _ := io.ReadAll(r); string(rest) != "rest" {
		t.Errorf("%q is left", rest)
	}
	for _, line := range []string{"", "OK", "OK 1", "NO 1\n", strings.Repeat("x", 100)} {
		if err := readTaken(strings.NewReader(line)); err == nil {
			t.Errorf("%.20q was taken", line)
		}
	}
}
