package initramfs

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"github.com/secgear/secgear/sdk/tee"
)

// childVariable tells the program that it was started by process 1 of a guest.
const childVariable = "SECGEAR_GUEST"

// Start returns what was launched if this program runs in a guest for the
// platform of that name, or false at once. It is called once.
//
// The program runs twice. Started by the kernel, as process 1, Start does not
// return: it makes the machine ready, starts the program as its child, and ends
// the machine after it. The child has root's rights, /dev, /proc and /sys, and in
// a debug image the console as its output.
func Start(platform string) (id tee.Identity, ok bool, err error) {
	first := os.Getpid() == 1
	if !first && os.Getenv(childVariable) != platform {
		return id, false, nil
	}
	told, id, err := readIdentity("/" + identityFile)
	switch {
	case first && (os.IsNotExist(err) || err == nil && told != platform):
		return tee.Identity{}, false, nil // another's guest, or a container
	case err == nil && told != platform:
		err = fmt.Errorf("%w: this guest was made for platform %q", ErrFormat, told)
	}
	if first {
		if err == nil {
			err = boot(platform, id)
		}
		end(err)
	}
	os.Unsetenv(childVariable) // not to be taken over by anyone
	if err != nil {
		return tee.Identity{}, true, fmt.Errorf("starting as a guest: %w", err)
	}
	return id, true, nil
}

// readIdentity reads the identity in a file.
func readIdentity(name string) (platform string, id tee.Identity, err error) {
	b, err := readFile(name, MaxIdentity)
	if err != nil {
		return "", id, err
	}
	return ParseIdentity(b)
}

// readFile reads a file of at most limit bytes.
func readFile(name string, limit int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("reading %s: it has more than %d bytes", name, limit)
	}
	return b, err
}

// boot makes the machine ready, runs the program, and reports on the console how
// it ended. It returns why it can't.
func boot(platform string, id tee.Identity) error {
	for _, m := range []struct{ kind, where string }{{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}} {
		err := syscall.Mount(m.kind, m.where, m.kind, syscall.MS_NOSUID|syscall.MS_NOEXEC, "")
		if err != nil && err != syscall.EBUSY { // the kernel has done it
			return fmt.Errorf("mounting %s: %w", m.where, err)
		}
	}
	if err := loadModules("/" + modulesDir); err != nil {
		return err
	}
	status, err := runProgram(platform, id)
	if err != nil {
		return err
	}
	report(status)
	return nil
}

// maxModule is the size of the largest module.
const maxModule = 16 << 20

// loadModules loads the modules in dir, in the order of their names.
func loadModules(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		b, err := readFile(dir+"/"+e.Name(), maxModule)
		if err == nil {
			err = initModule(b)
		}
		if err != nil {
			return fmt.Errorf("loading module %s: %w", e.Name(), err)
		}
	}
	return nil
}

// runProgram runs this program again, as a child, until its end.
func runProgram(platform string, id tee.Identity) (status syscall.WaitStatus, err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	output := null.Fd() // a panic's text may hold anything
	if id.Manifest.Debug {
		output = 1
	}
	pid, err := syscall.ForkExec("/"+initFile, []string{id.Manifest.Name}, &syscall.ProcAttr{
		Dir: "/",
		Env: []string{
			childVariable + "=" + platform,
			"GOMEMLIMIT=" + strconv.FormatUint(id.Manifest.Memory, 10),
		},
		Files: []uintptr{null.Fd(), output, output},
	})
	if err != nil {
		return 0, fmt.Errorf("starting the program: %w", err)
	}
	for {
		got, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case got == pid:
			return status, nil
		case err != nil && err != syscall.EINTR:
			return 0, fmt.Errorf("waiting for the program: %w", err)
		}
	}
}

// Lines on the console by which process 1 tells the host how the program ended.
// Neither has the host a reason to believe the guest, nor the guest to care.
const (
	ExitLine   = "secgear guest: exit status "
	SignalLine = "secgear guest: signal "
	FailedLine = "secgear guest: failed: "
)

// report writes how the program ended to the console.
func report(status syscall.WaitStatus) {
	line := ExitLine + strconv.Itoa(status.ExitStatus())
	if status.Signaled() {
		line = SignalLine + strconv.Itoa(int(status.Signal()))
	}
	os.Stdout.WriteString("\r\n" + line + "\r\n")
}

// end ends the machine: by a restart, which whoever started it takes for its end.
func end(err error) {
	if err != nil {
		os.Stdout.WriteString("\r\n" + FailedLine + err.Error() + "\r\n")
	}
	syscall.Sync()
	syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART)
	os.Exit(1) // which makes the kernel panic
}
