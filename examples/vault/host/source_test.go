package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

func TestConcatenate(t *testing.T) {
	tree := fstest.MapFS{
		"a.go":       {Data: []byte("one ")},
		"b.txt":      {Data: []byte("not Go ")},
		"dir/c.go":   {Data: []byte("two ")},
		"dir/d.go/e": {Data: []byte("not Go either ")},
	}
	for size, want := range map[int64]string{0: "", 3: "one", 8: "one two ", 18: "one two one two on"} {
		var got strings.Builder
		told := 0
		err := concatenate(t.Context(), &got, tree, size, func(n int) { told += n })
		if err != nil || got.String() != want || told != len(want) {
			t.Errorf("%d bytes: %q, %d told, %v; want %q", size, got.String(), told, err, want)
		}
	}
}

func TestConcatenateFails(t *testing.T) {
	nothing := func(int) {}
	if err := concatenate(t.Context(), new(strings.Builder), fstest.MapFS{"a": {}}, 1, nothing); err == nil {
		t.Error("no Go files are enough")
	}
	if err := concatenate(t.Context(), new(strings.Builder), fstest.MapFS{"a.go": {}}, 1, nothing); err == nil {
		t.Error("empty Go files are enough")
	}
	if err := concatenate(t.Context(), new(strings.Builder), os.DirFS("/nowhere"), 1, nothing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := concatenate(ctx, new(strings.Builder), fstest.MapFS{"a.go": {Data: []byte("x")}}, 1, nothing); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// TestTemporary: a temporary file is one that can't be left behind.
func TestTemporary(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	f, err := temporary(10)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("content"), 3); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it has a name: %v, %v", left, err)
	}
	if _, known := freeSpace(dir); !known {
		t.Skip("how much space is free is not known here")
	}
	if _, err := temporary(1 << 62); err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("there is space for everything: %v", err)
	}
}
