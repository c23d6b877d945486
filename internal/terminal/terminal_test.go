package terminal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lines passes on what is written to it.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func TestProgress(t *testing.T) {
	w := make(lines, 1000)
	done := progress(w, "building", time.Millisecond)
	if got := <-w; got != "\rbuilding … 0s " {
		t.Errorf("showed %q", got)
	}
	done()
	done()
	close(w)
	last := ""
	for last = range w {
	}
	if last != "\r\x1b[K" {
		t.Errorf("ended with %q", last)
	}
}

// TestShort: what takes less than a tick shows nothing.
func TestShort(t *testing.T) {
	w := make(lines, 10)
	progress(w, "building", time.Hour)()
	if len(w) != 0 {
		t.Errorf("showed %q", <-w)
	}
}

func TestFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if IsTerminal(f) {
		t.Error("a file is a terminal")
	}
	Progress(f, "building")()
	if data, err := os.ReadFile(name); err != nil || strings.TrimSpace(string(data)) != "" {
		t.Errorf("a file got %q, %v", data, err)
	}
}
