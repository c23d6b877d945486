package sandbox

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/tee"
)

// namespaces are those that an enclave gets, by what /proc/self/ns calls them.
var namespaces = []struct {
	part, file string
	flag       uintptr
}{
	{partUserNS, "user", unix.CLONE_NEWUSER},
	{"pid namespace", "pid", unix.CLONE_NEWPID},
	{"network namespace", "net", unix.CLONE_NEWNET},
	{"mount namespace", "mnt", unix.CLONE_NEWNS},
	{"IPC namespace", "ipc", unix.CLONE_NEWIPC},
	{"UTS namespace", "uts", unix.CLONE_NEWUTS},
	{"cgroup namespace", "cgroup", unix.CLONE_NEWCGROUP},
}

// namespaceSet is a choice of namespaces.
type namespaceSet struct {
	flags  uintptr
	report []tee.Protection
}

// without returns the set of all that the kernel knows except those in refused,
// for the reason why.
func without(refused uintptr, why error) namespaceSet {
	var set namespaceSet
	for _, ns := range namespaces {
		p := tee.Protection{Name: ns.part}
		if _, err := os.Stat("/proc/self/ns/" + ns.file); err != nil {
			p.Reason = "the kernel has none: " + err.Error()
		} else if refused&ns.flag != 0 {
			p.Reason = why.Error()
		} else {
			p.Active = true
			set.flags |= ns.flag
		}
		set.report = append(set.report, p)
	}
	return set
}

// idMap says who the enclave is, inside its user namespace and outside.
type idMap struct {
	uid, gid         int    // inside, or without namespace altogether
	hostUID, hostGID int    // outside
	setgroups        bool   // the supplementary groups can be dropped
	why              string // why it is the launching user, if it is
}

const (
	insideID = 1000  // the enclave's user and group in its own eyes
	nobody   = 65534 // the user and group that enclaves launched by root have
)

// chooseIDs chooses an unprivileged user for the enclave, which for an ordinary
// user can only be herself.
func chooseIDs(flags uintptr) idMap {
	ids := idMap{hostUID: os.Geteuid(), hostGID: os.Getegid()}
	if ids.hostUID == 0 {
		if mapped("uid") && mapped("gid") {
			ids.hostUID, ids.hostGID, ids.setgroups = nobody, nobody, true
		} else {
			ids.why = fmt.Sprintf("user %d does not exist in this container", nobody)
		}
	}
	ids.uid, ids.gid = ids.hostUID, ids.hostGID
	if flags&unix.CLONE_NEWUSER != 0 {
		ids.uid, ids.gid = insideID, insideID
	}
	return ids
}

// mapped tells whether nobody exists in this process's user namespace, for kind
// uid or gid.
func mapped(kind string) bool {
	f, err := os.Open("/proc/self/" + kind + "_map")
	if err != nil {
		return true // no user namespaces
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var inside, outside, count uint64
		if _, err := fmt.Sscan(s.Text(), &inside, &outside, &count); err == nil && inside <= nobody && nobody-inside < count {
			return true
		}
	}
	return false
}

// write sets the maps of process pid, which has just got a user namespace.
func (m idMap) write(pid int) error {
	files := []struct{ name, content string }{
		{"setgroups", "deny"},
		{"uid_map", fmt.Sprintf("%d %d 1\n", m.uid, m.hostUID)},
		{"gid_map", fmt.Sprintf("%d %d 1\n", m.gid, m.hostGID)},
	}
	for _, f := range files {
		if f.name == "setgroups" && m.setgroups {
			continue
		}
		name := fmt.Sprintf("/proc/%d/%s", pid, f.name)
		if err := os.WriteFile(name, []byte(f.content), 0); err != nil {
			return fmt.Errorf("writing %q: %w", strings.TrimSpace(f.content), err)
		}
	}
	return nil
}
