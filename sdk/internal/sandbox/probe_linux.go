package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

// probeTime bounds a probe.
const probeTime = 5 * time.Second

// ProbeArch tells whether programs of arch can be confined here. It confines a
// process as Launch does, which then ends instead of executing a program: what
// the answer says was tried. For another architecture than this machine's it
// looks for the emulator, too, but does not run it.
func (t TEE) ProbeArch(arch string) tee.Status {
	if err := checkArch(arch); err != nil {
		return tee.Status{Missing: []tee.Missing{{What: arch + " processor", Why: err.Error(), Fix: fixForeign(runtime.GOARCH)}}}
	}
	if foreign(arch) {
		if err := t.probeEmulator(arch); err != nil {
			return tee.Status{Missing: []tee.Missing{{What: "emulator for " + arch, Why: err.Error(), Fix: fixEmulator}}}
		}
	}
	report, err := t.probe(arch)
	if err != nil {
		return tee.Status{Missing: []tee.Missing{{What: "a sandboxed process", Why: err.Error()}}}
	}
	status := tee.Status{Available: true}
	for _, p := range report {
		if !p.Active {
			status.Missing = append(status.Missing, tee.Missing{What: p.Name, Why: p.Reason, Fix: fixFor(arch, p.Name)})
		}
	}
	return status
}

func (t TEE) probe(arch string) ([]tee.Protection, error) {
	program, err := probeProgram()
	if err != nil {
		return []tee.Protection{{Name: partProgram, Reason: err.Error()}}, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	exe, secret := executable{program: noProgram}, probeSecret
	if foreign(arch) {
		f, err := sealedProgram(strings.NewReader(probeText), false)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		exe.guest, secret = &guest{arch: arch, fd: int(f.Fd()), size: len(probeText)}, noSecret
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeTime)
	defer cancel()
	proc, report, err := startConfined(ctx, func(ns namespaceSet) (*confinement, error) {
		return plan(t.Name, image.DefaultManifest("probe"), ns, nil, []int{int(null.Fd())}, exe, t.Without)
	})
	if err != nil {
		return nil, err
	}
	<-proc.Done()
	if status, err := proc.Status(); err == nil && status.ExitStatus() != 0 {
		return nil, fmt.Errorf("a confined process ended with status %#x", int(status))
	}
	return append(append([]tee.Protection{program}, report...), secret()), nil
}

// probeText stands in for a program.
const probeText = "probe"

// probeProgram tries whether programs can be executed from memory files.
func probeProgram() (tee.Protection, error) {
	f, err := sealedProgram(strings.NewReader(probeText), false)
	if err != nil {
		if why := fix(partProgram); why != "" {
			err = fmt.Errorf("%w (%s)", err, why)
		}
		return tee.Protection{}, err
	}
	return tee.Protection{Name: partProgram, Active: true}, f.Close()
}

// probeSecret tries whether there is secret memory.
func probeSecret() tee.Protection {
	fd, _, errno := unix.Syscall(sysMemfdSecret, unix.O_CLOEXEC, 0, 0)
	if errno != 0 {
		return tee.Protection{Name: partSecret, Reason: errno.Error()}
	}
	unix.Close(int(fd))
	return tee.Protection{Name: partSecret, Active: true}
}

// noSecret is probeSecret for an emulated program.
func noSecret() tee.Protection {
	return tee.Protection{Name: partSecret, Reason: "the emulator does not know memfd_secret"}
}

// fixFor says what can be done about a part that is missing for programs of
// arch.
func fixFor(arch, part string) string {
	if foreign(arch) && slices.Contains([]string{partNative, partOpen, partWX, partSecret}, part) {
		return fixForeign(arch)
	}
	return fix(part)
}

// fixForeign says what a program for arch needs.
func fixForeign(arch string) string {
	return fmt.Sprintf("a machine with %s processors, or an image for %s", arch, runtime.GOARCH)
}

// fix says what an administrator can do about a missing part.
func fix(part string) string {
	switch part {
	case partProgram:
		if sysctl("vm/memfd_noexec") == "2" {
			return "sysctl -w vm.memfd_noexec=1"
		}
	case partUserNS:
		return fixUserNamespaces()
	case partGroups:
		return "launch as root, or as a user of one group"
	case partLandlock:
		return "boot with lsm=landlock,... (Linux 5.13, CONFIG_SECURITY_LANDLOCK)"
	case partWX:
		return "Linux 6.3 or later; the seccomp filter does the same meanwhile"
	case partDescriptors:
		return "Linux 5.11 or later"
	case partThreads:
		return "Linux 5.14 or later, with user namespaces"
	case partSecret:
		return "boot with secretmem.enable=1 (Linux 5.14, CONFIG_SECRETMEM)"
	case partUser:
		return "launch as an ordinary user, or as a root with CAP_SETUID and CAP_SETGID"
	case partBounding:
		return "launch as an ordinary user, or as a root with CAP_SETPCAP; no_new_privs does the same meanwhile"
	case partCaps, partLimits, partCores:
		return ""
	}
	return fixUserNamespaces() // all others depend on them
}

// fixUserNamespaces names the settings that keep ordinary users from user
// namespaces.
func fixUserNamespaces() string {
	switch {
	case sysctl("user/max_user_namespaces") == "0":
		return "sysctl -w user.max_user_namespaces=10000"
	case sysctl("kernel/unprivileged_userns_clone") == "0":
		return "sysctl -w kernel.unprivileged_userns_clone=1"
	case sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
		return "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
	}
	if _, err := os.Stat("/proc/self/ns/user"); errors.Is(err, os.ErrNotExist) {
		return "a kernel with CONFIG_USER_NS"
	}
	return "in a container, allow user namespaces by its seccomp profile"
}

// sysctl reads a setting, "" if there is none.
func sysctl(name string) string {
	b, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
