package vm

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/initramfs"
	"github.com/secgear/secgear/sdk/internal/spawn"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/vm/internal/qemu"
)

// Launch implements [tee.Backend].
func (b Backend) Launch(ctx context.Context, img *image.Image, cfg tee.LaunchConfig) (tee.Instance, error) {
	i, err := b.launch(ctx, img, cfg)
	if err != nil {
		return nil, fmt.Errorf("launching %s in a virtual machine: %w", img.Manifest.Name, err)
	}
	return i, nil
}

func (b Backend) launch(ctx context.Context, img *image.Image, cfg tee.LaunchConfig) (*instance, error) {
	if img.Encrypted != nil {
		return nil, fmt.Errorf("the image is encrypted, and there is nothing in the guest that could decrypt it: %w", errors.ErrUnsupported)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l := &launch{name: img.Manifest.Name, manifest: img.Manifest, cores: cfg.Cores}
	defer l.close()
	if err := l.open(b, img); err != nil {
		return nil, err
	}
	proc, err := l.start(ctx)
	if err != nil {
		return nil, err
	}
	cfg.Log.Info("machine started", "machine", l.machine.Type, "kvm", l.machine.KVM,
		"kernel", l.kernel.dir, "kernel_sha256", fmt.Sprintf("%x", l.kernel.sum),
		"image_bytes", l.imageBytes, "memory_mib", int64(l.machine.MemoryMiB))
	i, err := newInstance(proc, l, cfg.Log)
	if err != nil {
		proc.Kill()
		<-proc.Done()
		return nil, err
	}
	l.close() // the machine's ends too: their end must show its end
	if err := i.greet(ctx); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return i, nil
}

// launch holds what is needed until the machine runs.
type launch struct {
	name     string
	manifest image.Manifest
	cores    []int

	program        *os.File // QEMU
	kernel         *kernel
	initrd         *os.File
	null           *os.File
	port, console  [2]*os.File // our end, QEMU's
	stdout         [2]*os.File // QEMU's own output: our end, QEMU's
	shared         []*os.File
	sharedSize     uint64
	imageBytes     int64 // of kernel and initramfs
	machine        qemu.Machine
	noAcceleration error // why it is emulated
}

// QEMU's descriptors.
const (
	fdPort    = 3
	fdConsole = 4
	fdKernel  = 5
	fdInitrd  = 6
	fdShared  = 7 // and those after it
)

// How many memories a machine has for lanes beyond those that may be open at a
// time: those of lanes that ended are free when nobody has them mapped any more.
const spareMemories = 8

// maxMemories is how many there are at most. (Package spawn keeps its own
// descriptors above these.)
const maxMemories = spawn.Lowest - fdShared

// overheadMiB is what a machine needs beside the enclave's own memory: its kernel
// and the first copy of the program.
const overheadMiB = 128

// maxCPUs is how many processors a machine gets unless it is told.
const maxCPUs = 8

// open makes everything that the machine is given.
func (l *launch) open(b Backend, img *image.Image) (err error) {
	machine, err := b.machineType(img.Arch)
	if err != nil {
		return err
	}
	path, err := findQEMU(machine)
	if err != nil {
		return err
	}
	if l.program, err = os.Open(path); err != nil {
		return err
	}
	if l.kernel, err = openKernel(img.Arch); err != nil {
		return err
	}
	confidential, names, err := b.confidential(machine)
	if err != nil {
		return err
	}
	modules, err := l.kernel.modules(names)
	if err != nil {
		return err
	}
	initrd, err := initramfs.Build(img, b.Name(), modules)
	if err != nil {
		return err
	}
	if l.initrd, err = memoryFile("secgear-initramfs", initrd); err != nil {
		return err
	}
	l.imageBytes = l.kernel.size + int64(len(initrd))
	if err := l.openFiles(); err != nil {
		return err
	}
	l.noAcceleration = probeKVM(img.Arch)
	l.machine = qemu.Machine{
		Name: "secgear-" + l.name, Type: machine, KVM: l.noAcceleration == nil,
		MemoryMiB: (l.manifest.Memory+2*uint64(len(initrd))+1<<20-1)>>20 + overheadMiB,
		CPUs:      len(l.cores), Debug: l.manifest.Debug, TSCKHz: tscKHz(),
		Kernel: inherited(fdKernel), Initrd: inherited(fdInitrd), Port: fdPort, Console: fdConsole,
		Confidential: confidential,
	}
	if l.machine.CPUs == 0 {
		l.machine.CPUs = min(runtime.NumCPU(), maxCPUs)
	}
	for i := range l.shared {
		l.machine.Shared = append(l.machine.Shared, qemu.Memory{Path: inherited(fdShared + i), Size: l.sharedSize})
	}
	return nil
}

// inherited is the path of an inherited descriptor.
func inherited(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// openFiles makes the sockets and shared memories.
func (l *launch) openFiles() (err error) {
	if l.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return err
	}
	for _, pair := range []*[2]*os.File{&l.port, &l.console} {
		if pair[0], pair[1], err = socketPair(); err != nil {
			return err
		}
	}
	if l.stdout[0], l.stdout[1], err = os.Pipe(); err != nil {
		return err
	}
	// A window's size is a power of two.
	l.sharedSize = 1 << bits.Len64(l.manifest.LaneMemory-1)
	for range min(l.manifest.Lanes+spareMemories, maxMemories) {
		f, err := sharedMemory(l.sharedSize)
		if err != nil {
			return err
		}
		l.shared = append(l.shared, f)
	}
	return nil
}

// close releases what the instance has not taken over. It may be called again.
func (l *launch) close() {
	files := append([]*os.File{l.program, l.initrd, l.null}, l.shared...)
	for _, pair := range [][2]*os.File{l.port, l.console, l.stdout} {
		files = append(files, pair[:]...)
	}
	if l.kernel != nil {
		files = append(files, l.kernel.file)
	}
	for _, f := range files {
		if f != nil {
			f.Close() // again for some, and of no consequence
		}
	}
}

// start starts QEMU, with nothing of ours but what it is given.
func (l *launch) start(ctx context.Context) (*spawn.Process, error) {
	p, err := spawn.New()
	if err != nil {
		return nil, err
	}
	defer p.Close()
	fds := []int{
		int(l.null.Fd()), int(l.stdout[1].Fd()), int(l.stdout[1].Fd()),
		fdPort: int(l.port[1].Fd()), fdConsole: int(l.console[1].Fd()),
		fdKernel: int(l.kernel.file.Fd()), fdInitrd: int(l.initrd.Fd()),
	}
	for _, f := range l.shared {
		fds = append(fds, int(f.Fd()))
	}
	if err := p.Executable(int(l.program.Fd()), spawn.Lowest+512); err != nil {
		return nil, err
	}
	if err := p.Files(fds...); err != nil {
		return nil, err
	}
	if err := l.confine(p); err != nil {
		return nil, err
	}
	proc, failures, err := p.Start(ctx, spawn.Program{Args: append([]string{l.machine.Binary()}, l.machine.Args()...)})
	if err != nil {
		return nil, fmt.Errorf("starting QEMU: %w", err)
	}
	if len(failures) > 0 {
		proc.Kill()
		<-proc.Done()
		return nil, fmt.Errorf("starting QEMU: %s: %w", failures[0].Part, failures[0].Err)
	}
	return proc, nil
}

// confine takes from QEMU what it does not need.
func (l *launch) confine(p *spawn.Plan) error {
	p.Add(
		spawn.Call{Part: "no new privileges", Essential: true, Trap: unix.SYS_PRCTL, Args: [6]uintptr{unix.PR_SET_NO_NEW_PRIVS, 1}},
		spawn.Call{
			Part: "no core dump", Essential: true, Trap: unix.SYS_PRLIMIT64,
			Args: [6]uintptr{0, unix.RLIMIT_CORE, p.Bytes(make([]byte, 16)), 0},
		},
	)
	if len(l.cores) == 0 {
		return nil
	}
	const most = 1024
	mask := make([]byte, most/8)
	for _, core := range l.cores {
		if core < 0 || core >= most {
			return fmt.Errorf("core %d is not between 0 and %d", core, most-1)
		}
		mask[core/8] |= 1 << (core % 8)
	}
	p.Add(spawn.Call{
		Part: "cores", Essential: true, Trap: unix.SYS_SCHED_SETAFFINITY,
		Args: [6]uintptr{0, uintptr(len(mask)), p.Bytes(mask)},
	})
	return nil
}
