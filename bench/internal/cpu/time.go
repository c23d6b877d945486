package cpu

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"
)

// tick is the unit of times in /proc: USER_HZ, 100 on every Linux.
const tick = 10 * time.Millisecond

// stat is what is read of /proc/<pid>/stat.
type stat struct {
	parent int
	used   time.Duration // utime + stime
}

// TreeTime returns the time that process root and all its living descendants
// have spent on processors, in steps of 10 ms, and how many processes these are.
func TreeTime(root int) (time.Duration, int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, 0, err
	}
	stats := make(map[int]stat)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		s, err := readStat(pid)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it ended meanwhile
		}
		if err != nil {
			return 0, 0, err
		}
		stats[pid] = s
	}
	if _, ok := stats[root]; !ok {
		return 0, 0, fmt.Errorf("process %d is gone", root)
	}
	used, n := sum(stats, root)
	return used, n, nil
}

// sum adds up root and its descendants.
func sum(stats map[int]stat, root int) (time.Duration, int) {
	var (
		used  time.Duration
		count int
	)
	for pid := range stats {
		if descends(stats, pid, root) {
			used += stats[pid].used
			count++
		}
	}
	return used, count
}

func descends(stats map[int]stat, pid, root int) bool {
	for hops := 0; pid > 0 && hops <= len(stats); hops++ {
		if pid == root {
			return true
		}
		pid = stats[pid].parent
	}
	return false
}

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(b)
}

// parseStat reads a line of /proc/<pid>/stat (proc(5)). The second field is a
// name in parentheses, which may itself hold spaces and parentheses.
func parseStat(b []byte) (stat, error) {
	end := bytes.LastIndexByte(b, ')')
	if end < 0 {
		return stat{}, fmt.Errorf("malformed stat %q", b)
	}
	fields := bytes.Fields(b[end+1:]) // the first is field 3
	if len(fields) < 13 {
		return stat{}, fmt.Errorf("malformed stat %q", b)
	}
	parent, err1 := strconv.Atoi(string(fields[1]))
	user, err2 := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err3 := strconv.ParseInt(string(fields[12]), 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return stat{}, fmt.Errorf("malformed stat: %w", err)
	}
	return stat{parent, time.Duration(user+system) * tick}, nil
}
