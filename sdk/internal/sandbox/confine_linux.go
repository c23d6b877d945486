package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/spawn"
	"github.com/secgear/secgear/sdk/tee"
)

// The parts of the confinement, as reported.
const (
	partProgram     = "sealed program"
	partInside      = "program decrypted inside"
	partUnswapped   = "decrypted program out of swap"
	partUserNS      = "user namespace"
	partUser        = "unprivileged user"
	partGroups      = "no supplementary groups"
	partDescriptors = "no inherited descriptors"
	partRoot        = "empty root"
	partHostName    = "no host name"
	partCores       = "chosen cores"
	partLimits      = "limits"
	partThreads     = "limit on threads"
	partCaps        = "no capabilities"
	partBounding    = "no capabilities by execution"
	partPrivs       = "no new privileges"
	partWX          = "no writable memory made executable"
	partNative      = "native processor"
	partOpen        = "no opening of files"
	partLandlock    = "Landlock"
	partSeccomp     = "seccomp"
	partDump        = "no debugging"
	partSecret      = "secret memory"
)

// confinement is the plan of an enclave's process.
type confinement struct {
	*spawn.Plan
	tee        string // its name
	manifest   image.Manifest
	namespaces uintptr // CLONE_NEW… flags
	ids        idMap
	guest      *guest // what an emulator runs, or nil
	guestFD    int    // of the guest's program
	scratch    int    // a descriptor that is free while the calls are made
	execAs     int
	report     []tee.Protection
}

// noProgram stands for the descriptor of a program in a plan that has none.
const noProgram = -1

// executable is what a confined process executes.
type executable struct {
	program int    // descriptor, or noProgram
	guest   *guest // what the program, being an emulator, runs; else nil
}

// plan lays out the confinement of an enclave of the named TEE, with the given
// descriptors 0, 1, 2 and so on. without names a part to leave out.
func plan(tee string, m image.Manifest, ns namespaceSet, cores []int, files []int, exe executable, without string) (*confinement, error) {
	p, err := spawn.New()
	if err != nil {
		return nil, err
	}
	c := &confinement{Plan: p, tee: tee, manifest: m, namespaces: ns.flags, ids: chooseIDs(ns.flags), guest: exe.guest}
	if err := c.addParts(ns, cores, files, exe.program, without); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// addParts adds the parts in the order in which they must come: each needs what
// later ones take away.
func (c *confinement) addParts(ns namespaceSet, cores, files []int, program int, without string) error {
	if err := c.Files(files...); err != nil {
		return err
	}
	c.active(partDescriptors)
	if c.guest != nil {
		if err := c.addEmulation(len(files)); err != nil {
			return err
		}
	}
	if program != noProgram {
		c.execAs = openFiles(c.manifest)
		if err := c.Executable(program, c.execAs); err != nil {
			return err
		}
	}
	c.Add(spawn.Call{Part: "session", Trap: unix.SYS_SETSID})
	c.report = append(c.report, ns.report...)
	parts := []struct {
		name string
		add  func(name string) error
	}{
		{partUser, c.addUser},
		{partRoot, c.addRoot},
		{partHostName, c.addHostName},
		{partCores, func(name string) error { return c.addCores(name, cores) }},
		{partLimits, c.addLimits},
		{partCaps, c.addCapabilities},
		{partPrivs, c.addNoNewPrivs},
		{partWX, c.addWriteXorExecute},
		{partLandlock, c.addLandlock},
		{partSeccomp, c.addSeccomp},
	}
	for _, part := range parts {
		if part.name == without {
			c.missing(part.name, errors.New("left out by a test"))
			continue
		}
		if err := part.add(part.name); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// args are the process's arguments.
func (c *confinement) args() []string {
	if c.guest != nil {
		return c.guest.args(c.manifest.Name)
	}
	return []string{c.manifest.Name}
}

// active notes a part that is in force unless one of its calls fails.
func (c *confinement) active(name string) {
	c.report = append(c.report, tee.Protection{Name: name, Active: true})
}

// missing notes a part that can't be had.
func (c *confinement) missing(name string, why error) {
	c.report = append(c.report, tee.Protection{Name: name, Reason: why.Error()})
}

// outcome is the report, given what failed.
func (c *confinement) outcome(failures []spawn.Failure) []tee.Protection {
	report := slices.Clone(c.report)
	for _, f := range failures {
		for i := range report {
			if report[i].Name == f.Part {
				report[i].Active, report[i].Reason = false, f.Err.Error()
			}
		}
	}
	return report
}

// prctl is a call of prctl.
func prctl(part string, essential bool, option, value uintptr) spawn.Call {
	return spawn.Call{Part: part, Essential: essential, Trap: unix.SYS_PRCTL, Args: [6]uintptr{option, value}}
}

// addUser makes the process an ordinary user with nothing but its own groups.
func (c *confinement) addUser(name string) error {
	privileged := c.namespaces&unix.CLONE_NEWUSER != 0 || os.Geteuid() == 0
	if privileged {
		// Among other things, let the capabilities outlive the change of user:
		// they are needed, and dropped at the end.
		c.Add(prctl(partBounding, false, unix.PR_SET_SECUREBITS, secureBits))
	}
	if c.ids.setgroups {
		c.Add(spawn.Call{Part: name, Trap: unix.SYS_SETGROUPS})
	}
	uid, gid := uintptr(c.ids.uid), uintptr(c.ids.gid)
	c.Add(
		spawn.Call{Part: name, Trap: unix.SYS_SETRESGID, Args: [6]uintptr{gid, gid, gid}},
		spawn.Call{Part: name, Trap: unix.SYS_SETRESUID, Args: [6]uintptr{uid, uid, uid}},
	)
	c.DieWithParent()
	c.active("parent-death signal")
	if c.ids.why != "" {
		c.missing(name, errors.New(c.ids.why))
	} else {
		c.active(name)
	}
	groups, err := os.Getgroups()
	switch {
	case c.ids.setgroups || err == nil && len(withoutGroup(groups, os.Getegid())) == 0:
		c.active(partGroups)
	default:
		c.missing(partGroups, errors.New("only root can drop them"))
	}
	return nil
}

func withoutGroup(groups []int, gid int) []int {
	return slices.DeleteFunc(groups, func(g int) bool { return g == gid })
}

// addRoot gives the process an empty, read-only file system, and detaches it
// from every other.
func (c *confinement) addRoot(name string) error {
	if c.namespaces&unix.CLONE_NEWNS == 0 {
		c.missing(name, errors.New("needs a mount namespace"))
		return nil
	}
	slash, dot, proc, tmpfs := c.String("/"), c.String("."), c.String("/proc"), c.String("tmpfs")
	flags, size := uintptr(unix.MS_RDONLY|rootFlags), "size=4k,nr_inodes=1,mode=0"
	if c.guest != nil {
		flags, size = rootFlags, c.guest.rootSize()
	}
	c.Add(
		spawn.Call{Part: name, Trap: unix.SYS_MOUNT, Args: [6]uintptr{0, slash, 0, unix.MS_REC | unix.MS_PRIVATE}},
		// Any folder will do to mount the new root on.
		spawn.Call{Part: name, Trap: unix.SYS_MOUNT, Args: [6]uintptr{tmpfs, proc, tmpfs, flags, c.String(size)}},
		spawn.Call{Part: name, Trap: unix.SYS_CHDIR, Args: [6]uintptr{proc}},
	)
	if c.guest != nil {
		c.addGuest(name)
	}
	c.Add(
		spawn.Call{Part: name, Trap: unix.SYS_PIVOT_ROOT, Args: [6]uintptr{dot, dot}},
		spawn.Call{Part: name, Trap: unix.SYS_UMOUNT2, Args: [6]uintptr{dot, unix.MNT_DETACH}},
		spawn.Call{Part: name, Trap: unix.SYS_CHDIR, Args: [6]uintptr{slash}},
	)
	c.active(name)
	return nil
}

// rootFlags are those of the root's mount, besides that it is read-only.
const rootFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// addHostName hides the machine's name.
func (c *confinement) addHostName(name string) error {
	if c.namespaces&unix.CLONE_NEWUTS == 0 {
		c.missing(name, errors.New("needs a UTS namespace"))
		return nil
	}
	const host = "enclave"
	c.Add(
		spawn.Call{Part: name, Trap: unix.SYS_SETHOSTNAME, Args: [6]uintptr{c.String(host), uintptr(len(host))}},
		spawn.Call{Part: name, Trap: unix.SYS_SETDOMAINNAME, Args: [6]uintptr{c.String(""), 0}},
	)
	c.active(name)
	return nil
}

// addCores keeps the process on the given cores, if any are.
func (c *confinement) addCores(name string, cores []int) error {
	if len(cores) == 0 {
		return nil
	}
	const most = 1024
	mask := make([]byte, most/8)
	for _, core := range cores {
		if core < 0 || core >= most {
			return fmt.Errorf("core %d is not between 0 and %d", core, most-1)
		}
		mask[core/8] |= 1 << (core % 8)
	}
	c.Add(spawn.Call{
		Part: name, Essential: true, Trap: unix.SYS_SCHED_SETAFFINITY,
		Args: [6]uintptr{0, uintptr(len(mask)), c.Bytes(mask)},
	})
	c.active(name)
	return nil
}

// addNoNewPrivs rules out that execution gives privileges. The filter depends on
// it.
func (c *confinement) addNoNewPrivs(name string) error {
	c.Add(prctl(name, true, unix.PR_SET_NO_NEW_PRIVS, 1))
	c.active(name)
	return nil
}

// addWriteXorExecute rules out making code at run time. The filter does so too,
// system call by system call.
func (c *confinement) addWriteXorExecute(name string) error {
	if c.guest != nil {
		c.missing(name, errors.New("the emulator makes code of the program's at run time"))
		return nil
	}
	c.Add(prctl(name, false, unix.PR_SET_MDWE, unix.PR_MDWE_REFUSE_EXEC_GAIN))
	c.active(name)
	return nil
}

// addSeccomp adds the filter of filter_linux.go. It comes last.
func (c *confinement) addSeccomp(name string) error {
	code := filter(always, sometimes(c.execAs))
	if c.guest != nil {
		code = filter(alwaysEmulated, sometimesEmulated(c.execAs))
	}
	fprog := make([]byte, 16) // struct sock_fprog
	binary.NativeEndian.PutUint16(fprog, uint16(len(code)/8))
	binary.NativeEndian.PutUint64(fprog[8:], uint64(c.Bytes(code)))
	c.Add(spawn.Call{
		Part: name, Essential: true, Trap: unix.SYS_SECCOMP,
		Args: [6]uintptr{unix.SECCOMP_SET_MODE_FILTER, 0, c.Bytes(fprog)},
	})
	c.active(name)
	return nil
}
