package sandbox

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/teetest"
)

// codeAtRunTime are the attempts that an emulator must be granted: see
// filter_emulated_linux.go.
var codeAtRunTime = []string{"mmapexec", "mmapwx", "mmapshared", "mprotectexec"}

// TestEmulated: what is refused to a program of this machine is refused to one
// that is emulated, by whoever it may be; and the enclave survives it.
func TestEmulated(t *testing.T) {
	everywhere(t, func(t *testing.T, arch string) {
		e := launchFor(t, Backend{}, teetest.Manifest(), arch)
		for _, a := range forbidden {
			if arch != architectures[0] && slices.Contains(codeAtRunTime, a.command) {
				continue // the emulator makes of it what it likes
			}
			t.Run(a.String(), func(t *testing.T) { e.Control.Refused(a.command, a.args...) })
		}
		if got := e.Control.Get("echo", "unharmed"); got != "unharmed" {
			t.Error("the enclave is not what it was")
		}
	})
}

// asEmulator is the test enclave of this machine in the place of the emulator for
// another one: it is what an emulator is that the program in it has taken over.
func asEmulator(t *testing.T, b Backend) *teetest.Enclave {
	t.Helper()
	b.emulator = filepath.Join(t.TempDir(), "emulator")
	if err := os.WriteFile(b.emulator, testProgram(t), 0o755); err != nil {
		t.Fatal(err)
	}
	img := teetest.Image(t, teetest.Manifest(), testProgram(t), 1)
	img.Arch = foreignArchitectures[0]
	if s := b.ProbeArch(img.Arch); !s.Available {
		t.Skipf("%s can't run here: %+v", img.Arch, s.Missing)
	}
	return teetest.Launch(t, b, img, t.TempDir())
}

// TestEmulatorRefused: an emulator that was taken over gets nowhere either.
func TestEmulatorRefused(t *testing.T) {
	e := asEmulator(t, Backend{})
	for _, a := range forbidden {
		t.Run(a.String(), func(t *testing.T) {
			if !slices.Contains(codeAtRunTime, a.command) {
				e.Control.Refused(a.command, a.args...)
			} else if r, err := e.Control.Try(a.command, a.args...); err != nil || r.Error != "" {
				t.Errorf("an emulator needs it: %+v, %v", r, err)
			}
		})
	}
}

// TestEmulatorReadsItsProgram: the one file that an emulator opens is the
// program, and to read only; with and without the filter.
func TestEmulatorReadsItsProgram(t *testing.T) {
	for _, without := range []string{"", partSeccomp} {
		e := asEmulator(t, Backend{without: without})
		if got := e.Control.Get("filesize", "/"+guestName); got != e.Control.Get("filesize", guestName) || got == "0" {
			t.Errorf("without %q: %s bytes", without, got)
		}
		e.Control.Refused("create", "/"+guestName)
		e.Control.Refused("create", "/other")
		e.Control.Refused("open", "/")
		e.Control.Refused("filesize", "/../etc/passwd")
	}
}

// TestEmulationIsNamed: the list of protections says what emulation costs.
func TestEmulationIsNamed(t *testing.T) {
	e := asEmulator(t, Backend{})
	for _, name := range []string{partNative, partOpen, partWX} {
		at := slices.IndexFunc(e.Protections(), func(p tee.Protection) bool { return p.Name == name })
		if at < 0 || e.Protections()[at].Active || e.Protections()[at].Reason == "" {
			t.Errorf("%s is not named: %+v", name, e.Protections())
		}
	}
}

// TestNoEmulator: an emulator that is missing, or that others could have
// written, is named with what to do, and nothing is launched.
func TestNoEmulator(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if err := os.WriteFile(open, testProgram(t), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	img := teetest.Image(t, teetest.Manifest(), testProgram(t), 1)
	img.Arch = foreignArchitectures[0]
	for name, file := range map[string]string{"missing": filepath.Join(dir, "none"), "writable": open, "folder": dir} {
		t.Run(name, func(t *testing.T) {
			b := Backend{emulator: file}
			s := b.ProbeArch(img.Arch)
			if s.Available || len(s.Missing) != 1 || !strings.Contains(s.Missing[0].What, img.Arch) ||
				s.Missing[0].Why == "" || !strings.Contains(s.Missing[0].Fix, "qemu-user-static") {
				t.Errorf("probe: %+v", s)
			}
			i, err := b.Launch(t.Context(), img, teetest.Config(t.TempDir()))
			if err == nil {
				i.Close()
				t.Fatal("launched")
			}
			if !strings.Contains(err.Error(), "qemu-user-static") || (name == "missing") != errors.Is(err, fs.ErrNotExist) {
				t.Errorf("error: %v", err)
			}
		})
	}
	if s := (Backend{}).ProbeArch("pdp11"); s.Available || len(s.Missing) != 1 || s.Missing[0].What != "pdp11 processor" {
		t.Errorf("pdp11: %+v", s)
	}
}
