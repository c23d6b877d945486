package vm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/secgear/secgear/sdk/tee"
)

// hardware is the machine that launches, as its files show it.
type hardware struct {
	root string // "/", or a test's
	arch string
}

var thisMachine = hardware{"/", runtime.GOARCH}

// missing names what the machine lacks for a kind of confidential machines. How
// QEMU is, is another matter.
func (h hardware) missing(kind Kind) (list []tee.Missing) {
	k, ok := confidentialKinds[kind]
	if !ok {
		return nil
	}
	if h.arch != k.arch {
		return []tee.Missing{{What: k.arch + " processor", Why: "this machine is " + h.arch, Fix: "a machine with " + string(kind)}}
	}
	if err := h.usable("dev/kvm"); err != nil {
		list = append(list, tee.Missing{What: "/dev/kvm", Why: err.Error(), Fix: "a machine with KVM, whose /dev/kvm this user can open (group kvm)"})
	}
	switch kind {
	case SNP:
		if err := h.usable("dev/sev"); err != nil {
			list = append(list, tee.Missing{What: "/dev/sev", Why: err.Error(), Fix: "an EPYC processor of the third generation or later, SEV-SNP set in its firmware, and this user in the group of /dev/sev"})
		}
		list = append(list, h.parameter("kvm_amd", "sev_snp", "Linux 6.11 or later, SEV-SNP set in the machine's firmware, and kvm_amd.sev_snp=1")...)
	case TDX:
		list = append(list, h.parameter("kvm_intel", "tdx", "Linux 6.16 or later, TDX set in the machine's firmware, and kvm_intel.tdx=1")...)
	case CCA:
		if _, err := os.Stat(filepath.Join(h.root, "sys/module/kvm/parameters/rme")); err != nil {
			list = append(list, tee.Missing{What: "KVM for realms", Why: "no released kernel has it", Fix: "an Armv9 processor with RME, and a kernel with the patches for realms"})
		}
	}
	return list
}

// usable tells why a device can't be opened.
func (h hardware) usable(name string) error {
	f, err := os.OpenFile(filepath.Join(h.root, name), os.O_RDWR, 0)
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// parameter looks whether a module's switch is on.
func (h hardware) parameter(module, name, fix string) []tee.Missing {
	b, err := os.ReadFile(filepath.Join(h.root, "sys/module", module, "parameters", name))
	what := module + "." + name
	switch v := strings.TrimSpace(string(b)); {
	case err != nil:
		return []tee.Missing{{What: what, Why: "the kernel's module " + module + " is not loaded, or too old", Fix: fix}}
	case v != "Y" && v != "1":
		return []tee.Missing{{What: what, Why: "it is " + strconv.Quote(v), Fix: fix}}
	}
	return nil
}

// missingHardware names what a machine of the backend's kind lacks here.
func (b Backend) missingHardware(arch string) []tee.Missing {
	k, ok := confidentialKinds[b.kind()]
	if !ok {
		return nil
	}
	if arch != k.arch {
		return []tee.Missing{{What: k.arch + " program", Why: "the program is for " + arch, Fix: "build the image with --arch " + k.arch}}
	}
	list := thisMachine.missing(b.kind())
	if len(list) > 0 {
		return list // QEMU is not started where it is of no use
	}
	if _, err := k.findFirmware(); err != nil {
		list = append(list, tee.Missing{What: "firmware", Why: err.Error(), Fix: k.fix})
	}
	if path, err := findQEMU(k.machine); err == nil {
		if v, err := askVersion(path); err != nil || v.before(k.qemu) {
			list = append(list, tee.Missing{What: "QEMU " + k.qemu.String(), Why: fmt.Sprintf("it is %v (%v)", v, err), Fix: "a newer QEMU in PATH"})
		}
	}
	return list
}

// version is QEMU's.
type version struct{ major, minor int }

func (v version) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

func (v version) before(w version) bool {
	return v.major < w.major || v.major == w.major && v.minor < w.minor
}

// askVersion asks QEMU for its version.
func askVersion(path string) (version, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return version{}, fmt.Errorf("asking QEMU for its version: %w", err)
	}
	return parseVersion(string(out))
}

var versionLine = regexp.MustCompile(`^QEMU emulator version (\d{1,4})\.(\d{1,4})`)

func parseVersion(said string) (version, error) {
	m := versionLine.FindStringSubmatch(said)
	if m == nil {
		return version{}, fmt.Errorf("QEMU says no version: %.80q", said)
	}
	major, _ := strconv.Atoi(m[1]) // four digits at most
	minor, _ := strconv.Atoi(m[2])
	return version{major, minor}, nil
}
