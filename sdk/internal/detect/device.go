package detect

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/secgear/secgear/sdk/tee"
)

// device is missing if the device of that name, as "/dev/kvm", is not there (fix
// says what to do about that) or is not for this process.
func (m Machine) device(name, fix string) []tee.Missing {
	file := strings.TrimPrefix(name, "/")
	info, err := fs.Stat(m.Root, file)
	if errors.Is(err, fs.ErrNotExist) {
		return []tee.Missing{{What: name, Why: "it does not exist", Fix: fix}}
	}
	if err == nil {
		err = m.Access(file)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission) && info != nil:
		return []tee.Missing{{What: "access to " + name, Why: "permission denied", Fix: m.fixAccess(name, info)}}
	}
	return []tee.Missing{{What: "access to " + name, Why: err.Error()}}
}

// fixAccess says how a user gets to use a device: by the group it belongs to, if
// that one may.
func (m Machine) fixAccess(name string, info fs.FileInfo) string {
	const groupMay = 0o060
	_, gid, ok := owner(info)
	if !ok || gid == 0 || info.Mode()&groupMay != groupMay {
		return "be root, or write a udev rule that gives " + name + " to a group of yours with mode 0660"
	}
	group := m.groupName(gid)
	return fmt.Sprintf("usermod -aG %s USER as root, then log in again: the device is group %s's", group, group)
}

// groupName is what the machine calls the group gid, or its number.
func (m Machine) groupName(gid uint32) string {
	number := strconv.FormatUint(uint64(gid), 10)
	for line := range strings.Lines(m.read("etc/group")) {
		if f := strings.Split(line, ":"); len(f) >= 3 && f[2] == number && plain(f[0]) {
			return f[0]
		}
	}
	return number
}

// plain tells whether a name is fit to be put into a command.
func plain(name string) bool {
	for _, c := range []byte(name) {
		if c != '-' && c != '_' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return name != "" && name[0] != '-'
}

// parameter is missing if that of a kernel's module is not on.
func (m Machine) parameter(module, name, kernel, fix string) []tee.Missing {
	what := module + "." + name
	switch value := m.read("sys/module/" + module + "/parameters/" + name); value {
	case "Y", "1":
		return nil
	case "":
		if !m.exists("sys/module/" + module) {
			return []tee.Missing{{What: what, Why: "the module " + module + " is not loaded", Fix: "modprobe " + module + " as root; in a virtual machine its host has to allow nested ones"}}
		}
		return []tee.Missing{{What: what, Why: "the kernel's module " + module + " has no such parameter", Fix: kernel}}
	default:
		return []tee.Missing{{What: what, Why: fmt.Sprintf("it is %.20q", value), Fix: fix}}
	}
}

// flag is missing if the processor does not show it.
func (m Machine) flag(name, what, fix string) []tee.Missing {
	if m.hasFlag(name) {
		return nil
	}
	return []tee.Missing{{What: what, Why: "the processor's flags in /proc/cpuinfo lack " + name, Fix: fix}}
}

// kvm is missing if the processor's own virtualisation can't be used.
func (m Machine) kvm() []tee.Missing {
	return m.device("/dev/kvm", "switch virtualisation on in the firmware's setup and load kvm_intel or kvm_amd; in a virtual machine its host has to allow nested ones")
}

// otherArch is missing if this is not a machine of that architecture.
func (m Machine) otherArch(arch string) []tee.Missing {
	if m.Arch == arch {
		return nil
	}
	return []tee.Missing{{What: arch + " processor", Why: "this machine is " + m.Arch, Fix: "use a machine of that kind"}}
}
