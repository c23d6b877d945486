//go:build !linux

package main

import (
	"errors"
	"os"
	"os/exec"
	"time"
)

// watch runs one command. Where there are no enclaves, only files are watched.
type watch struct{ *surroundings }

func newWatch(settled bool) (*watch, error) {
	s, err := newSurroundings(settled)
	return &watch{s}, err
}

// start runs the command to its end and returns its exit status.
func (w *watch) start(command []string) (int, error) {
	env, err := w.environ()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// leftovers names the files that stayed.
func (w *watch) leftovers(time.Duration) ([]string, error) { return w.files() }

// clean removes what is left of the surroundings.
func (w *watch) clean() error { return w.remove() }
