package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// prSetChildSubreaper makes orphans among the descendants children of this
// process; see prctl(2).
const prSetChildSubreaper = 36

// watch runs one command and knows what was there before it.
type watch struct {
	*surroundings
	before map[string]bool // named objects
	child  int             // the command's process
}

func newWatch(settled bool) (*watch, error) {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		return nil, fmt.Errorf("becoming the parent of orphans: %w", errno)
	}
	s, err := newSurroundings(settled)
	if err != nil {
		return nil, err
	}
	w := &watch{surroundings: s, before: make(map[string]bool)}
	objects, err := w.objects()
	for _, o := range objects {
		w.before[o] = true
	}
	return w, err
}

// start runs the command to its end and returns its exit status. Orphans are
// reaped as they end, so that nobody sees them as zombies.
func (w *watch) start(command []string) (int, error) {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return 0, err
	}
	env, err := w.environ()
	if err != nil {
		return 0, err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	w.child, err = syscall.ForkExec(path, command, &syscall.ProcAttr{Env: env, Files: []uintptr{0, 1, 2}})
	if err != nil {
		return 0, fmt.Errorf("starting %s: %w", command[0], err)
	}
	go w.forward(signals)
	return w.wait()
}

// forward passes on a request to stop. A terminal sends SIGINT to all of its
// processes by itself.
func (w *watch) forward(signals <-chan os.Signal) {
	for s := range signals {
		if s == syscall.SIGTERM {
			syscall.Kill(w.child, syscall.SIGTERM)
		}
	}
}

// wait reaps children until the command has ended.
func (w *watch) wait() (int, error) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, fmt.Errorf("waiting for the command: %w", err)
		case pid == w.child && status.Signaled():
			return 128 + int(status.Signal()), nil
		case pid == w.child:
			return status.ExitStatus(), nil
		}
	}
}

// leftovers names what stayed after the command, giving processes time to end.
func (w *watch) leftovers(grace time.Duration) ([]string, error) {
	processes, err := w.remaining(grace)
	if err != nil {
		return nil, err
	}
	files, err := w.files()
	if err != nil {
		return nil, err
	}
	objects, err := w.objects()
	if err != nil {
		return nil, err
	}
	left := append(processes, files...)
	for _, o := range objects {
		if !w.before[o] {
			left = append(left, o)
		}
	}
	return left, nil
}

// remaining describes the processes that are still there after the grace
// period, and kills them.
func (w *watch) remaining(grace time.Duration) ([]string, error) {
	deadline := time.Now().Add(grace)
	pids, err := descendants()
	for err == nil && len(pids) > 0 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
		pids, err = descendants()
	}
	var left []string
	for _, pid := range pids {
		left = append(left, fmt.Sprintf("process %d: %s", pid, commandLine(pid)))
		syscall.Kill(pid, syscall.SIGKILL)
	}
	return left, err
}

// descendants lists the living processes below this one. All orphans are, so
// it suffices to look for parents.
func descendants() ([]int, error) {
	reap()
	parents, err := parentsOfAll()
	if err != nil {
		return nil, err
	}
	self := os.Getpid()
	var found []int
	for pid := range parents {
		for p := parents[pid]; p > 1; p = parents[p] {
			if p == self {
				found = append(found, pid)
				break
			}
		}
	}
	slices.Sort(found)
	return found, nil
}

// reap takes the status of children that have ended.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if pid <= 0 || err != nil {
			return
		}
	}
}

// parentsOfAll maps each process to its parent.
func parentsOfAll() (map[int]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	parents := make(map[int]int)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // ended meanwhile
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, err
		}
		// pid (command) state parent …; a command may hold parentheses
		fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
		if len(fields) < 2 {
			return nil, fmt.Errorf("%s: has %d fields", file, len(fields))
		}
		if parents[pid], err = strconv.Atoi(string(fields[1])); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return parents, nil
}

// commandLine tells what a process runs.
func commandLine(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(data) == 0 {
		return "(ended)"
	}
	return strings.TrimSpace(strings.ReplaceAll(string(data), "\x00", " "))
}

// objects lists what is reachable by a name and no file in the watched folders:
// shared memory, sockets, mounts.
func (w *watch) objects() ([]string, error) {
	shm, err := os.ReadDir("/dev/shm")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("looking for shared memory: %w", err)
	}
	var found []string
	for _, e := range shm {
		if w.ours(e.Name()) {
			found = append(found, "shared memory /dev/shm/"+e.Name())
		}
	}
	sockets, err := column("/proc/net/unix", 7)
	if err != nil {
		return nil, fmt.Errorf("looking for sockets: %w", err)
	}
	for _, name := range sockets {
		if strings.HasPrefix(name, "@") && w.ours(name) { // abstract
			found = append(found, "socket "+name)
		}
	}
	mounts, err := column("/proc/self/mountinfo", 4)
	if err != nil {
		return nil, fmt.Errorf("looking for mounts: %w", err)
	}
	for _, name := range mounts {
		if w.ours(name) {
			found = append(found, "mount "+name)
		}
	}
	return found, nil
}

// ours reports whether a name is one that secgear, or a test of it, gives.
func (w *watch) ours(name string) bool {
	return strings.Contains(name, "secgear") || strings.Contains(name, w.dir)
}

// column returns a field, counted from 0, of all lines that have it.
func column(file string, field int) ([]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var values []string
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > field {
			values = append(values, f[field])
		}
	}
	return values, nil
}

// clean removes what is left of the surroundings.
func (w *watch) clean() error { return w.remove() }
