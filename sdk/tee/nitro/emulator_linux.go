package nitro

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/internal/spawn"
	"github.com/secgear/secgear/sdk/tee"
)

// Files of the emulation, in a folder of its own.
const (
	qemuFile     = "qemu-system-x86_64"
	vsockFile    = "vhost-device-vsock"
	firmwareName = "firmware"
)

// tools is the folder with the programs that emulate.
func tools() (string, error) {
	if dir := os.Getenv(envTools); dir != "" {
		return dir, nil
	}
	dir, err := cache()
	return filepath.Join(dir, "nitro", "amd64"), err
}

// emulator is a machine that QEMU emulates. Its vsock ends in a program of its
// own, vhost-device-vsock, which shares the machine's memory and has a Unix
// socket for us.
type emulator struct {
	vsock, qemu *process
	console     *console
	ended       chan struct{}
	stopped     atomic.Bool // by watch, because vsock ended
}

// emulate starts the machine that s describes.
func emulate(ctx context.Context, s spec) (machine, error) {
	dir, err := tools()
	if err != nil {
		return nil, err
	}
	e := &emulator{ended: make(chan struct{})}
	if err := e.start(ctx, dir, s); err != nil {
		return nil, errors.Join(fmt.Errorf("emulating: %w", err), e.release())
	}
	go e.watch()
	return e, nil
}

// machineCID is the machine's number; each has a vhost-device-vsock of its own.
const machineCID = 4

func (e *emulator) start(ctx context.Context, dir string, s spec) (err error) {
	e.vsock, err = startProcess(ctx, filepath.Join(dir, vsockFile), nil, nil, func(own string) []string {
		return []string{"--vm", fmt.Sprintf("guest-cid=%d,uds-path=%s/vsock,socket=%s/vhost", machineCID, own, own)}
	})
	if err != nil {
		return err
	}
	device, err := e.connectDevice(ctx)
	if err != nil {
		return err
	}
	defer device.Close()
	eif, err := memoryFile("secgear-eif", s.file)
	if err != nil {
		return err
	}
	defer eif.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	e.console = newConsole(r, s.log, s.debug)
	defer w.Close()
	e.qemu, err = startProcess(ctx, filepath.Join(dir, qemuFile), []*os.File{w, eif, device}, s.cores, func(string) []string {
		return arguments(filepath.Join(dir, firmwareName), s)
	})
	if err != nil {
		r.Close()
		return err
	}
	go func() {
		<-e.qemu.Done()
		<-e.console.ended
		r.Close()
	}()
	return nil
}

// Descriptors that QEMU gets beside the usual ones.
const (
	eifFD    = 3
	deviceFD = 4
)

// arguments are QEMU's. Where the machine has KVM, that is used.
func arguments(firmware string, s spec) []string {
	cores := len(s.cores)
	if cores == 0 {
		cores = min(runtime.NumCPU(), 8)
	}
	return []string{
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none", "-L", firmware,
		"-accel", "kvm", "-accel", "tcg", "-cpu", "max", "-smp", strconv.Itoa(cores),
		"-m", strconv.FormatUint(s.memory>>20, 10) + "M",
		"-chardev", "socket,id=vsock,fd=" + strconv.Itoa(deviceFD),
		"-M", "nitro-enclave,vsock=vsock,acpi=on,id=secgear-emulated",
		"-kernel", "/proc/self/fd/" + strconv.Itoa(eifFD), "-append", emulationOptions(),
		"-serial", "stdio",
	}
}

// emulationOptions are what the emulated machine's kernel has to be told beside
// its command line: its clocks are too imprecise to be tried out. QEMU does not
// measure that; the hypervisor would.
func emulationOptions() string {
	options := "no_timer_check"
	if khz := clockRate(); khz != "" {
		options += " tsc_early_khz=" + khz
	}
	return options
}

// clockRate is the rate of the processor's time stamp counter in kHz, which the
// emulation shows to its machine, or "" if it is not known.
func clockRate() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) != "cpu MHz" {
			continue
		}
		if mhz, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil && mhz > 0 && mhz < 1e5 {
			return strconv.Itoa(int(mhz * 1000))
		}
	}
	return ""
}

// poll is how long to wait between looks at whether a program listens.
const poll = 2 * time.Millisecond

// connectDevice connects to vhost-device-vsock in QEMU's place, as soon as it
// listens.
func (e *emulator) connectDevice(ctx context.Context) (*os.File, error) {
	pause := time.NewTicker(poll)
	defer pause.Stop()
	for {
		c, err := net.Dial("unix", e.vsock.file("vhost"))
		if err == nil {
			defer c.Close()
			return c.(*net.UnixConn).File()
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-e.vsock.Done():
			return nil, fmt.Errorf("%s ended at once", vsockFile)
		}
	}
}

// memoryFile returns a memory file with b that nobody can change.
func memoryFile(name string, b []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("making a memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.Write(b)
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("writing a memory file: %w", err)
	}
	return f, nil
}

// watch ends both programs with the first of them.
func (e *emulator) watch() {
	select {
	case <-e.qemu.Done():
	case <-e.vsock.Done():
		e.stopped.Store(true)
	}
	e.qemu.Kill()
	e.vsock.Kill()
	<-e.qemu.Done()
	<-e.vsock.Done()
	<-e.console.ended
	close(e.ended)
}

func (e *emulator) done() <-chan struct{} { return e.ended }

// cause is what process 1 said, unless QEMU was killed.
func (e *emulator) cause() error {
	status, err := e.qemu.Status()
	if err == nil && status.Signaled() && !e.stopped.Load() {
		return fmt.Errorf("the enclave died: its emulator ended by %s", unix.SignalName(status.Signal()))
	}
	return e.console.cause()
}

func (e *emulator) close() error {
	err := errors.Join(e.qemu.Kill(), e.vsock.Kill())
	<-e.ended
	return errors.Join(err, e.release())
}

// release ends what was started, and removes what it had.
func (e *emulator) release() error {
	var errs []error
	for _, p := range []*process{e.qemu, e.vsock} {
		if p != nil {
			errs = append(errs, p.Kill())
			<-p.Done()
			errs = append(errs, p.release())
		}
	}
	return errors.Join(errs...)
}

// dial implements machine: vhost-device-vsock's socket takes a line that names
// the port, and answers with another when the enclave has taken the connection.
//
// It may never answer a line that comes before the enclave listens, so that is
// waited for; and it does not survive that the socket is closed before its answer:
// a connection that is given up is closed by a goroutine that waits for that, or
// for the machine's end.
func (e *emulator) dial(ctx context.Context, port uint32) (net.Conn, error) {
	select {
	case <-e.console.listening:
	case <-ctx.Done():
	case <-e.ended:
		return nil, errors.New("the machine has ended")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := net.Dial("unix", e.vsock.file("vsock"))
	if err != nil {
		return nil, err
	}
	taken := make(chan error, 1)
	go func() {
		_, err := fmt.Fprintf(c, "CONNECT %d\n", port)
		if err == nil {
			err = readTaken(c)
		}
		taken <- err
	}()
	select {
	case err = <-taken:
		if err == nil {
			return c, nil
		}
		c.Close()
		return nil, err
	case <-ctx.Done():
		go func() {
			<-taken
			c.Close()
		}()
		return nil, ctx.Err()
	}
}

// readTaken reads the line "OK" and a number, and not a byte more.
func readTaken(r io.Reader) error {
	var line []byte
	for b := make([]byte, 1); len(line) < 32; {
		if _, err := io.ReadFull(r, b); err != nil {
			return err
		}
		if b[0] == '\n' {
			break
		}
		line = append(line, b[0])
	}
	if !strings.HasPrefix(string(line), "OK ") {
		return fmt.Errorf("%s answers %.32q", vsockFile, line)
	}
	return nil
}

func (e *emulator) protections() []tee.Protection {
	p := []tee.Protection{{
		Name:   "Nitro hypervisor",
		Reason: "it is emulated by QEMU: whoever owns this machine reads and alters everything, and evidence is signed by nobody",
	}}
	if e.vsock.why != nil {
		p = append(p, tee.Protection{
			Name:   "nothing left behind",
			Reason: fmt.Sprintf("a folder in %s stays if this process is killed: %v", os.TempDir(), e.vsock.why),
		})
	}
	return p
}

// process is a program of the emulation. It has a folder of its own that nobody
// else sees and that is gone with it, or, where the kernel refuses that, one in
// the folder for temporary files.
type process struct {
	*spawn.Process
	dir  string   // the folder, as this process sees it
	root *os.File // of the process's file system; nil if it is ours
	why  error    // why it is

	once sync.Once
}

// ownDir is where a program of the emulation finds its folder.
const ownDir = "/run"

// startProcess starts the program in file. It gets files as its descriptors from
// 1 on (the first one also as 2), and the arguments for when its folder is own.
func startProcess(ctx context.Context, file string, files []*os.File, cores []int, args func(own string) []string) (*process, error) {
	program, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w (scripts/setup nitro brings it)", err)
	}
	defer program.Close()
	choices := []uintptr{unix.CLONE_NEWUSER | unix.CLONE_NEWNS, 0}
	if os.Geteuid() == 0 {
		choices = slices.Insert(choices, 0, uintptr(unix.CLONE_NEWNS))
	}
	p := &process{}
	for _, namespaces := range choices {
		if err = p.start(ctx, program, namespaces, files, cores, args); err == nil {
			return p, nil
		}
		if !errors.Is(err, spawn.ErrRefused) {
			break
		}
		p.why = err
	}
	return nil, errors.Join(fmt.Errorf("starting %s: %w", filepath.Base(file), err), p.release())
}

// programFD is where a program is executed from.
const programFD = 16

func (p *process) start(ctx context.Context, program *os.File, namespaces uintptr, files []*os.File, cores []int, args func(string) []string) error {
	plan, err := spawn.New()
	if err != nil {
		return err
	}
	defer plan.Close()
	if err := addFiles(plan, files); err != nil {
		return err
	}
	if err := plan.Executable(int(program.Fd()), programFD); err != nil {
		return err
	}
	own := ownDir
	if namespaces == 0 {
		if own, err = os.MkdirTemp("", "secgear-nitro-"); err != nil {
			return err
		}
		p.dir = own
	} else {
		addOwnDir(plan)
	}
	if err := addCores(plan, cores); err != nil {
		return err
	}
	const part = "no new privileges"
	plan.Add(spawn.Call{Part: part, Essential: true, Trap: unix.SYS_PRCTL, Args: [6]uintptr{unix.PR_SET_NO_NEW_PRIVS, 1}})
	name := filepath.Base(program.Name())
	prog := spawn.Program{
		Args: append([]string{name}, args(own)...), Env: []string{"TMPDIR=" + own}, Namespaces: namespaces,
	}
	if namespaces&unix.CLONE_NEWUSER != 0 {
		prog.Prepare = mapSelf
	}
	if p.Process, _, err = plan.Start(ctx, prog); err != nil {
		return err
	}
	if namespaces == 0 {
		return nil
	}
	p.root, err = os.OpenFile(fmt.Sprintf("/proc/%d/root", p.Pid), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		p.Kill()
		<-p.Done()
		return fmt.Errorf("looking into its folder: %w", err)
	}
	p.dir = fmt.Sprintf("/proc/self/fd/%d%s", p.root.Fd(), ownDir)
	return nil
}

// addFiles gives the program its descriptors.
func addFiles(plan *spawn.Plan, files []*os.File) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	fds := []int{int(null.Fd()), int(null.Fd()), int(null.Fd())}
	for n, f := range files {
		if n == 0 {
			fds[1], fds[2] = int(f.Fd()), int(f.Fd())
			continue
		}
		fds = append(fds, int(f.Fd()))
	}
	return plan.Files(fds...)
}

// addOwnDir mounts a folder that nobody else sees.
func addOwnDir(plan *spawn.Plan) {
	const part = "own folder"
	slash, tmpfs := plan.String("/"), plan.String("tmpfs")
	for _, args := range [][6]uintptr{
		{0, slash, 0, unix.MS_REC | unix.MS_PRIVATE},
		{tmpfs, plan.String(ownDir), tmpfs, unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, plan.String("mode=0700")},
	} {
		plan.Add(spawn.Call{Part: part, Essential: true, Trap: unix.SYS_MOUNT, Args: args})
	}
}

// addCores keeps the process on cores, if there are any.
func addCores(plan *spawn.Plan, cores []int) error {
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
	plan.Add(spawn.Call{
		Part: "cores", Essential: true, Trap: unix.SYS_SCHED_SETAFFINITY,
		Args: [6]uintptr{0, uintptr(len(mask)), plan.Bytes(mask)},
	})
	return nil
}

// mapSelf makes a process's user in its namespace the same as outside.
func mapSelf(pid int) error {
	for _, f := range []struct{ name, content string }{
		{"setgroups", "deny"},
		{"uid_map", fmt.Sprintf("%d %d 1\n", os.Geteuid(), os.Geteuid())},
		{"gid_map", fmt.Sprintf("%d %d 1\n", os.Getegid(), os.Getegid())},
	} {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/%s", pid, f.name), []byte(f.content), 0); err != nil {
			return err
		}
	}
	return nil
}

// file is a file in the process's folder, as this process sees it.
func (p *process) file(name string) string { return filepath.Join(p.dir, name) }

// release removes what is left of a process that has ended.
func (p *process) release() (err error) {
	p.once.Do(func() {
		switch {
		case p.root != nil:
			err = p.root.Close()
		case p.dir != "":
			err = os.RemoveAll(p.dir)
		}
	})
	return err
}
