package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/sandbox/wire"
	"github.com/secgear/secgear/sdk/internal/spawn"
	"github.com/secgear/secgear/sdk/tee"
)

// Launch starts img as [tee.Backend] says. What is missing of the confinement is
// listed by the instance's Protections; without sealed program, no_new_privs and
// the seccomp filter there is no launch.
func (t TEE) Launch(ctx context.Context, img *image.Image, cfg tee.LaunchConfig) (tee.Instance, error) {
	i, err := t.launch(ctx, img, cfg)
	if err != nil { // not i: a nil *instance is no nil Instance
		return nil, err
	}
	return i, nil
}

func (t TEE) launch(ctx context.Context, img *image.Image, cfg tee.LaunchConfig) (*instance, error) {
	if err := checkArch(img.Arch); err != nil {
		return nil, err
	}
	id := tee.Identity{Digest: img.Digest, Signer: img.Signer, Manifest: img.Manifest}
	hw, around, err := t.Enter(ctx, id)
	if err != nil {
		return nil, err
	}
	l := &launch{id: id, cores: cfg.Cores, tee: t}
	defer l.close()
	if err := l.open(ctx, img, cfg); err != nil {
		return nil, err
	}
	proc, report, err := l.start(ctx)
	if err != nil {
		return nil, err
	}
	i := newInstance(proc, l, hw, cfg.Log)
	l.close() // the enclave's ends too: their end must show its end
	if err := i.greet(ctx, id); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	i.protections = slices.Concat(around, []tee.Protection{{Name: partProgram, Active: true}}, l.decryption, report, i.protections)
	return i, nil
}

// checkArch refuses programs for machines that this one neither is nor can be
// made to look like.
func checkArch(arch string) error {
	if auditArch == 0 {
		return fmt.Errorf("there is no system call filter for %s: %w", runtime.GOARCH, errors.ErrUnsupported)
	}
	if foreign(arch) && emulators[arch] == "" {
		return fmt.Errorf("the program is for %s, this machine is %s: %w", arch, runtime.GOARCH, errors.ErrUnsupported)
	}
	return nil
}

// launch holds what is needed until the enclave runs.
type launch struct {
	id    tee.Identity
	cores []int
	tee   TEE

	program    *os.File
	emulator   *os.File         // of the program, in its place executed; nil if it is this machine's
	guest      *guest           // what the emulator runs, or nil
	pin        []byte           // keeps a decrypted program in memory; see encrypted_linux.go
	decryption []tee.Protection // of an encrypted image

	null     *os.File
	stderr   *os.File         // the host's end of the enclave's output; nil unless debug
	output   *os.File         // the enclave's end of it, or null
	platform [2]*os.File      // the host's end, the enclave's
	control  [2]*os.File      // likewise
	conns    [2]*net.UnixConn // platform and control, the host's ends
}

// open makes everything that the enclave is given. The program comes last: if it
// is encrypted, all else that can fail has gone well before its key is asked for.
func (l *launch) open(ctx context.Context, img *image.Image, cfg tee.LaunchConfig) error {
	if err := l.openSockets(img.Manifest.Debug); err != nil {
		return err
	}
	if foreign(img.Arch) {
		var err error
		if l.emulator, err = l.tee.sealedEmulator(img.Arch, img.Manifest.Debug); err != nil {
			return err
		}
	}
	if err := l.openProgram(ctx, img, cfg); err != nil {
		return err
	}
	if l.emulator != nil {
		info, err := l.program.Stat()
		if err != nil {
			return err
		}
		l.guest = &guest{arch: img.Arch, fd: int(l.program.Fd()), size: int(info.Size())}
	}
	return nil
}

func (l *launch) openProgram(ctx context.Context, img *image.Image, cfg tee.LaunchConfig) (err error) {
	if img.Encrypted != nil {
		return l.openEncrypted(ctx, img, cfg.ImageKey)
	}
	l.program, err = sealedProgram(bytes.NewReader(img.Program), img.Manifest.Debug)
	return err
}

func (l *launch) openSockets(debug bool) (err error) {
	if l.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return err
	}
	if l.platform, err = socketPair(unix.SOCK_SEQPACKET); err != nil {
		return err
	}
	if l.control, err = socketPair(unix.SOCK_STREAM); err != nil {
		return err
	}
	for i, f := range []*os.File{l.platform[0], l.control[0]} {
		if l.conns[i], err = unixConn(f); err != nil {
			return err
		}
	}
	if l.output = l.null; debug {
		l.stderr, l.output, err = os.Pipe()
	}
	return err
}

// close releases what the instance has not taken over. It may be called again.
func (l *launch) close() {
	for _, f := range []*os.File{
		l.program, l.emulator, l.null, l.stderr, l.output, l.platform[0], l.platform[1], l.control[0], l.control[1],
	} {
		if f != nil {
			f.Close() // again for some, and of no consequence
		}
	}
	for _, c := range l.conns {
		if c != nil {
			c.Close()
		}
	}
	unpin(l.pin)
	l.pin = nil
}

// start executes the program in the strongest confinement that the kernel
// grants.
func (l *launch) start(ctx context.Context) (*spawn.Process, []tee.Protection, error) {
	files := []int{
		int(l.null.Fd()), int(l.output.Fd()), int(l.output.Fd()),
		wire.PlatformFD: int(l.platform[1].Fd()), wire.ControlFD: int(l.control[1].Fd()),
	}
	exe := executable{program: int(l.program.Fd())}
	if l.guest != nil {
		exe = executable{int(l.emulator.Fd()), l.guest}
	}
	return startConfined(ctx, func(ns namespaceSet) (*confinement, error) {
		return plan(l.tee.Name, l.id.Manifest, ns, l.cores, files, exe, l.tee.Without)
	})
}

// startConfined starts what plan lays out, with all namespaces or, if the kernel
// refuses, those it grants.
func startConfined(ctx context.Context, plan func(namespaceSet) (*confinement, error)) (*spawn.Process, []tee.Protection, error) {
	var refused uintptr
	var why error
	for {
		ns := without(refused, why)
		proc, report, err := startIn(ctx, ns, plan)
		if !errors.Is(err, spawn.ErrRefused) || ns.flags == 0 {
			return proc, report, err
		}
		why = err
		if ns.flags&unix.CLONE_NEWUSER != 0 && os.Geteuid() == 0 {
			refused = unix.CLONE_NEWUSER // root can have the others all the same
		} else {
			refused = ^uintptr(0)
		}
	}
}

// startIn starts what plan lays out, with the namespaces ns.
func startIn(ctx context.Context, ns namespaceSet, plan func(namespaceSet) (*confinement, error)) (*spawn.Process, []tee.Protection, error) {
	c, err := plan(ns)
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	prog := spawn.Program{
		Args:       c.args(),
		Env:        []string{wire.Env + "=" + c.tee, fmt.Sprintf("GOMEMLIMIT=%d", c.manifest.Memory)},
		Namespaces: ns.flags,
	}
	if ns.flags&unix.CLONE_NEWUSER != 0 {
		prog.Prepare = c.ids.write
	}
	proc, failures, err := c.Start(ctx, prog)
	if err != nil {
		return nil, nil, err
	}
	return proc, c.outcome(failures), nil
}

// socketPair makes a pair of connected sockets, whose files don't block.
func socketPair(kind int) ([2]*os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return [2]*os.File{}, fmt.Errorf("making a socket pair: %w", err)
	}
	return [2]*os.File{os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket")}, nil
}

// unixConn makes a connection of one end of a pair, and closes f.
func unixConn(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("using a socket: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("using a socket: it is a %T", c)
	}
	return u, nil
}
