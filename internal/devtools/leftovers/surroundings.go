package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// surroundings are the folders that a command gets instead of the user's.
// All are empty at first; what the command leaves in them stays behind.
type surroundings struct {
	dir   string
	empty []string // folders that must be empty in the end
}

// newSurroundings makes the folders. If settled, state and configuration may
// stay in them. Their paths are short: the names of
// sockets below them must fit 108 bytes.
func newSurroundings(settled bool) (*surroundings, error) {
	dir, err := os.MkdirTemp("", "sg")
	if err != nil {
		return nil, fmt.Errorf("making a folder to watch: %w", err)
	}
	s := &surroundings{dir, []string{"tmp", "run", "state", "conf"}}
	for _, name := range s.empty {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return nil, fmt.Errorf("making a folder to watch: %w", err)
		}
	}
	if settled {
		s.empty = s.empty[:2]
	}
	return s, s.stopTelemetry()
}

// stopTelemetry keeps the go command from writing its counters into the fresh
// configuration folder.
func (s *surroundings) stopTelemetry() error {
	dir := filepath.Join(s.dir, "conf", "go", "telemetry")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making a folder to watch: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, "mode"), []byte("off 2025-01-01"), 0o600)
}

// environ is the environment for the command: this process's, with the folders
// replaced and the go command's own places kept.
func (s *surroundings) environ() ([]string, error) {
	out, err := exec.Command("go", "env", "GOENV", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("asking go for its folders: %w", err)
	}
	places := strings.Split(string(out), "\n")
	return append(os.Environ(),
		"GOENV="+places[0],
		"GOCACHE="+places[1],
		"GOMODCACHE="+places[2],
		"TMPDIR="+filepath.Join(s.dir, "tmp"),
		"XDG_STATE_HOME="+filepath.Join(s.dir, "state"),
		"XDG_RUNTIME_DIR="+filepath.Join(s.dir, "run"),
		"XDG_CONFIG_HOME="+filepath.Join(s.dir, "conf"),
		"SECGEAR_STATE=",
	), nil
}

// files lists what lies in the folders now; of a folder that stayed, only
// itself.
func (s *surroundings) files() ([]string, error) {
	var left []string
	for _, name := range s.empty {
		entries, err := os.ReadDir(filepath.Join(s.dir, name))
		if err != nil {
			return nil, fmt.Errorf("looking for files: %w", err)
		}
		for _, e := range entries {
			if name == "conf" && e.Name() == "go" {
				continue
			}
			left = append(left, fmt.Sprintf("%s %s/%s", kind(e), name, e.Name()))
		}
	}
	return left, nil
}

// kind names what an entry is.
func kind(e fs.DirEntry) string {
	switch {
	case e.IsDir():
		return "folder"
	case e.Type()&fs.ModeSocket != 0:
		return "socket"
	default:
		return "file"
	}
}

// remove deletes the folders and all in them, folders without write permission
// included (Go's module cache has such).
func (s *surroundings) remove() error {
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("removing what was watched: %w", err)
	}
	return os.RemoveAll(s.dir)
}
