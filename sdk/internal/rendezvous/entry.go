package rendezvous

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Entry is a running enclave.
type Entry struct {
	Name string // the enclave's
	PID  int    // of the process that owns it
	N    int    // of that process's enclaves
	Path string // of its socket
}

// ErrNotFound is matched by the error of [Find] when no such enclave runs.
var ErrNotFound = errors.New("no such enclave is running")

const suffix = ".sock"

// fileName is the name of e's socket in its folder.
func (e Entry) fileName() string { return fmt.Sprintf("%s-%d-%d%s", e.Name, e.PID, e.N, suffix) }

// parseFileName reads a fileName. An enclave's name may have '-' in it.
func parseFileName(s string) (e Entry, ok bool) {
	s, ok = strings.CutSuffix(s, suffix)
	parts := strings.Split(s, "-")
	if !ok || len(parts) < 3 || parts[0] == "" {
		return e, false
	}
	last := len(parts) - 1
	pid, err := strconv.Atoi(parts[last-1])
	n, err2 := strconv.Atoi(parts[last])
	e = Entry{Name: strings.Join(parts[:last-1], "-"), PID: pid, N: n}
	if err != nil || err2 != nil || pid < 1 || n < 0 || e.fileName() != s+suffix {
		return Entry{}, false
	}
	return e, true
}

// sortEntries sorts by name, process and number.
func sortEntries(list []Entry) {
	slices.SortFunc(list, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.PID, b.PID), cmp.Compare(a.N, b.N))
	})
}

// pick returns the one of list that name means: an enclave's name, or that with
// its process and number as in the socket's.
func pick(list []Entry, name string) (Entry, error) {
	var found []string
	var one Entry
	for _, e := range list {
		if file := e.fileName(); e.Name == name || file == name || file == name+suffix {
			found = append(found, strings.TrimSuffix(file, suffix))
			one = e
		}
	}
	switch len(found) {
	case 0:
		return Entry{}, fmt.Errorf("%w: %.80q", ErrNotFound, name)
	case 1:
		return one, nil
	}
	return Entry{}, fmt.Errorf("%d enclaves of the name %q are running: %s", len(found), name, strings.Join(found, ", "))
}
